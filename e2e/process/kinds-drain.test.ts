import { fromJSON } from '@grpc/proto-loader';
import { Module } from '@nestjs/common';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { GrpcMethod } from '@rollcall/client';
import { getServiceToken, Rollcall, RollcallModule, ServiceClient } from '@rollcall/nestjs';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lastValueFrom } from 'rxjs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { variants } from '../variants.js';
import { startRegistry, urlOf } from './plain-requests.js';
import { OpenLoop } from './open-loop.js';
import type { Outcome, Rates, Verb } from './open-loop.js';
import { endAll, start } from './spawn.js';
import type { Child } from './spawn.js';
import { waitFor } from './wait-for.js';

/** How instances of each kind are called; see `programs/kinds.mjs`. */
const KINDS: Readonly<Record<string, readonly CallMethod[]>> = {
  tcp: ['send', 'call', 'emit'],
  grpc: ['grpc'],
  express: ['fetch'],
  fastify: ['fetch'],
  'tcp-express': ['send', 'call', 'emit', 'fetch'],
  'grpc-fastify': ['fetch', 'grpc'],
  'hybrid-express': ['send', 'call', 'emit', 'fetch', 'grpc'],
  'hybrid-fastify': ['send', 'call', 'emit', 'fetch', 'grpc'],
};
type CallMethod = 'send' | 'call' | 'emit' | 'fetch' | 'grpc';
type Method = GrpcMethod<{ id: string }, { instance: string }>;

/** 500 calls a second, none of which may be repeated once it was sent. */
const RATES = { find: 400, book: 100 };
const ONCE = { idempotent: false } as const;
const CALLS_BEFORE_DRAIN = 200;
/**
 * A drain waits until no request has arrived for 100 ms. A caller that stands still for longer, since this machine has
 * no time for it, may send a request to a server that has closed before the caller learns of it: such a run proves
 * nothing about the product, and is repeated with half of the load.
 */
const FAIR_LAG_MS = 50;
const MOST_AGAIN = 2;
const againAs = (kind: string, again: number): string => (again === 0 ? kind : `${kind}-${again}`);

const definition = fromJSON(JSON.parse(readFileSync(new URL('programs/shop.json', import.meta.url), 'utf8')));
const { Find, Book } = definition['shop.Orders'] as unknown as Record<'Find' | 'Book', Method>;
const METHODS: Readonly<Record<Verb, Method>> = { find: Find, book: Book };

const folder = mkdtempSync(join(tmpdir(), 'rollcall-kinds-'));
const notes = join(folder, 'notes');
let url = '';
let caller: INestApplicationContext;
let rollcall: Rollcall;

beforeAll(async () => {
  writeFileSync(notes, '');
  url = await urlOf(startRegistry(1_000, ['--memory']));
  const names = Object.keys(KINDS).flatMap((kind) =>
    Array.from({ length: MOST_AGAIN + 1 }, (_, again) => againAs(kind, again)),
  );
  @Module({ imports: [RollcallModule.forRoot({ registry: url }), RollcallModule.forFeature(names)] })
  class CallerModule {}
  caller = await NestFactory.createApplicationContext(CallerModule, { logger: ['error'] });
  rollcall = caller.get(Rollcall);
  rollcall.start();
});

afterAll(async () => {
  await caller.close();
  await endAll();
  rmSync(folder, { recursive: true });
});

const clientOf = (service: string): ServiceClient => caller.get(getServiceToken(service), { strict: false });

const ASK: Readonly<Record<CallMethod, (service: string, verb: Verb, id: string) => Promise<unknown>>> = {
  send: (service, verb, id) => lastValueFrom(clientOf(service).send(verb, { id })),
  call: (service, verb, id) => rollcall.call(service, verb, { id }, ONCE),
  emit: (service, _verb, id) => lastValueFrom(clientOf(service).emit('notify', { id }), { defaultValue: undefined }),
  fetch: async (service, verb, id) => {
    const method = verb === 'find' ? 'GET' : 'POST';
    const response = await rollcall.fetch(service, `/${verb}?id=${id}`, { method }, ONCE);
    if (!response.ok) throw new Error(`HTTP status ${response.status}`);
    return response.json();
  },
  grpc: (service, verb, id) => rollcall.grpc(service, METHODS[verb], { id }, ONCE),
};

function load(
  service: string,
  ways: readonly CallMethod[],
  rates: Rates,
): { readonly loop: OpenLoop; readonly emitted: string[] } {
  const emitted: string[] = [];
  let turn = 0;
  const ask = async (verb: Verb, id: string): Promise<string> => {
    const way = ways.at((turn += 1) % ways.length) ?? 'call';
    if (way === 'emit') emitted.push(id);
    await ASK[way](service, verb, id);
    return way;
  };
  return { loop: new OpenLoop(service, ask, rates), emitted };
}

const healthy = (service: string): number =>
  rollcall.service(service).instances.filter(({ state }) => state === 'HEALTHY').length;

const calm = (loop: OpenLoop): Promise<unknown> => {
  const enough = loop.outcomes.length + CALLS_BEFORE_DRAIN;
  return waitFor('calls go on', () => loop.outcomes.length >= enough);
};

/** What a drain waited for: the callers that had to be notified, and the requests in flight when it began. */
const DRAINED = /ms: [1-9]\d* watchers? had to be notified; .*in flight.*; no request came for \d+ ms\./;
const REQUESTS_IN_FLIGHT =
  /; [1-9]\d* in flight \((tcp (find|book|notify)|GET \/find|POST \/book|grpc shop\.Orders\/(Find|Book)).* \(for \d+ ms\)/;

const drainedText = (child: Child): string => child.out.find((line) => line.includes('Drained in')) ?? '';

/** The number of failures by text. */
function textsOf(failures: readonly Outcome[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { failure } of failures) {
    const text = `${failure?.code}: ${failure?.text.slice(0, 200)}`;
    counts[text] = (counts[text] ?? 0) + 1;
  }
  return counts;
}

/** Three instances, of which one closes itself in code and one gets a SIGTERM, under load. */
async function drainUnderLoad(kind: string, service: string, rates: Rates) {
  const ways = KINDS[kind] ?? [];
  const env = { ROLLCALL_URL: url, KIND: kind, SERVICE: service, NOTES: notes, NO_COLOR: '1' };
  const [one, two, three] = [start('kinds', [], env), start('kinds', [], env), start('kinds', [], env)] as const;
  await waitFor('all are HEALTHY', () => healthy(service) === 3);
  const { loop, emitted } = load(service, ways, rates);
  await calm(loop);
  one.kill('SIGUSR2');
  const closed = await one.exited;
  await calm(loop);
  two.kill('SIGTERM');
  const terminated = await two.exited;
  await calm(loop);
  await loop.stop();
  const isDone = (): boolean => {
    const done = readFileSync(notes, 'utf8');
    return emitted.every((id) => done.includes(`${service} notify ${id}\n`));
  };
  const failures = loop.outcomes.filter(({ failure }) => failure !== null);
  if (failures.length === 0) await waitFor('what was emitted has been done', isDone);
  three.kill('SIGKILL');
  return { loop, failures, gone: [one, two], ends: [closed.code, terminated.signal] };
}

it.each(variants(Object.entries(KINDS), ([kind]) => kind, ['tcp', 'grpc-fastify']))(
  '%s: app.close() in code, and SIGTERM, during 500 calls/s fail none of them',
  async (kind, ways) => {
    let rates: Rates = RATES;
    let run = await drainUnderLoad(kind, kind, rates);
    for (let again = 1; run.failures.length > 0 && run.loop.lagMs > FAIR_LAG_MS && again <= MOST_AGAIN; again += 1) {
      rates = { find: rates.find / 2, book: rates.book / 2 };
      console.warn(
        `${kind}: repeated with ${rates.find + rates.book} calls/s, for calls were made up to ${run.loop.lagMs.toFixed(0)} ms late.`,
      );
      run = await drainUnderLoad(kind, againAs(kind, again), rates);
    }
    expect(textsOf(run.failures)).toEqual({});
    expect(new Set(run.loop.outcomes.map(({ instance }) => instance))).toEqual(new Set(ways));
    expect(run.ends).toEqual([0, 'SIGTERM']);
    for (const child of run.gone) expect(drainedText(child)).toMatch(DRAINED);
    expect(run.gone.map(drainedText).join('\n')).toMatch(REQUESTS_IN_FLIGHT);
  },
  120_000,
);

async function isReady(pod: string): Promise<boolean> {
  const response = await fetch(`${pod}/.well-known/rollcall/ready`).catch(() => null);
  return response?.ok === true;
}

/**
 * Stands for the Service of a platform: it knows nothing of the registry, checks now and then which of its pods are
 * ready, and sends requests to those in turn. It repeats none.
 */
class Balancer {
  readonly outcomes: (number | string)[] = [];
  readonly #pods: readonly string[];
  #ready: readonly string[];
  #turn = 0;

  constructor(pods: readonly string[]) {
    this.#pods = pods;
    this.#ready = pods;
  }

  get ready(): readonly string[] {
    return this.#ready;
  }

  async probe(): Promise<void> {
    const answers = await Promise.all(this.#pods.map(isReady));
    this.#ready = this.#pods.filter((_, index) => answers[index]);
  }

  async send(): Promise<void> {
    const pod = this.#ready[(this.#turn += 1) % this.#ready.length];
    const answer = await fetch(`${pod}/find?id=${this.#turn}`).then(
      async (response) => (await response.text(), response.status),
      (error: unknown) => String(error),
    );
    this.outcomes.push(answer);
  }
}

it('needs no preStop: a load balancer that learns of it late, by a probe alone, loses no request', async () => {
  const env = { ROLLCALL_URL: url, KIND: 'fastify', SERVICE: 'pods', NOTES: notes, NO_COLOR: '1', LEAST_MS: '1500' };
  const [leaving, staying] = [start('kinds', [], env), start('kinds', [], env)] as const;
  await waitFor('both are HEALTHY', () => healthy('pods') === 2);
  const pods = rollcall.service('pods').instances.map(({ endpoints }) => `http://127.0.0.1:${endpoints[0]?.port}`);
  const balancer = new Balancer(pods);
  const sending: Promise<void>[] = [];
  const sendTimer = setInterval(() => sending.push(balancer.send()), 5);
  const probeTimer = setInterval(() => void balancer.probe(), 500);
  await waitFor('requests are answered', () => balancer.outcomes.length >= 50);
  leaving.kill('SIGTERM');
  await waitFor('it is not ready', () => balancer.ready.length === 1);
  expect(leaving.isAlive).toBe(true);
  await leaving.exited;
  const seen = balancer.outcomes.length;
  await waitFor('requests go on', () => balancer.outcomes.length >= seen + 50);
  clearInterval(sendTimer);
  clearInterval(probeTimer);
  await Promise.all(sending);
  staying.kill('SIGKILL');
  expect(balancer.outcomes.filter((outcome) => outcome !== 200)).toEqual([]);
  expect(drainedText(leaving)).toContain('at least 1500 ms');
});
