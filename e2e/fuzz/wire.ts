import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { seededRandom } from '@rollcall/core/testing';
import { encodeFrame } from '@rollcall/core';
import { edited } from './inputs.js';
import { openTestFleet } from './fleet.js';
import type { TestFleet } from './fleet.js';

/** The duration, and the seed. The same seed draws the same bytes; when they arrive depends on the network. */
export interface AttackOptions {
  readonly seconds: number;
  readonly seed: number;
}

export interface AttackReport {
  readonly seed: number;
  readonly connections: number;
  /** Heap after it, minus the heap before it, MiB. */
  readonly grownMiB: number;
  /** Sockets and servers of this process that did not exist before, after all was closed. */
  readonly leftOpenCount: number;
  /** Descriptions of what should not have happened. */
  readonly problems: readonly string[];
}

/** The number of concurrent attackers. */
const CONCURRENT = 24;
const POLL_INTERVAL_MS = 100;
const MAX_PROBLEMS = 10;
const SETTLE_MS = 5_000;

/**
 * Attackers at every port: random bytes, requests that are cut, changed, or pile up, closes of every kind. Meanwhile
 * twenty instances beat every half a second, and none may be lost, not even for a moment.
 */
export async function attack({ seconds, seed }: AttackOptions): Promise<AttackReport> {
  const before = openHandles();
  const problems = new Set<string>();
  const recordProblem = (text: string): void => void (problems.size < MAX_PROBLEMS && problems.add(text));
  const onUncaught = (error: unknown): void =>
    recordProblem(`uncaught: ${error instanceof Error ? error.stack : String(error)}`);
  process.on('uncaughtExceptionMonitor', onUncaught);
  const fleet = await openTestFleet();
  const attackers = new Attackers(fleet, seed);
  let grownMiB = 0;
  try {
    await attackers.run(Math.min(0.5, seconds / 4));
    const heap = heapMiB();
    const isOver = new AbortController();
    const watch = watchStates(fleet, isOver.signal, recordProblem);
    await attackers.run(seconds);
    isOver.abort();
    await watch;
    grownMiB = Math.round(heapMiB() - heap);
    for (const text of await fleet.findUnhealthy()) recordProblem(`afterwards ${text}`);
  } finally {
    await fleet.close();
    process.off('uncaughtExceptionMonitor', onUncaught);
  }
  const leftOpenCount = await countLeftOpen(before);
  return { seed, connections: attackers.connections, grownMiB, leftOpenCount, problems: [...problems] };
}

/** A busy machine may make an instance UNHEALTHY for a moment: it is still called, and nothing is lost. */
const ALLOWED_STATES: ReadonlySet<string> = new Set(['HEALTHY', 'UNHEALTHY']);

async function watchStates(
  fleet: TestFleet,
  signal: AbortSignal,
  recordProblem: (text: string) => void,
): Promise<void> {
  while (!signal.aborted) {
    for (const [id, state] of await fleet.states()) if (!ALLOWED_STATES.has(state)) recordProblem(`${id} is ${state}`);
    await pause(POLL_INTERVAL_MS);
  }
}

const openHandles = (): number => process.getActiveResourcesInfo().filter((name) => name.startsWith('TCP')).length;

/** Sockets take a moment to close. */
async function countLeftOpen(before: number): Promise<number> {
  const until = performance.now() + SETTLE_MS;
  while (openHandles() > before && performance.now() < until) await pause(20);
  return Math.max(0, openHandles() - before);
}

function heapMiB(): number {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 1_048_576;
}

const ENDS = ['end', 'half', 'reset', 'destroy', 'hang'] as const;
const KINDS = ['random', 'valid', 'cut', 'changed', 'piled'] as const;
const EDITS = ['flip', 'set', 'cut', 'drop', 'double', 'insert'] as const;
/** How long a connection stays that is not closed at once. */
const HANG_MS = 150;

/** The attackers. */
class Attackers {
  connections = 0;
  readonly #below: (count: number) => number;
  readonly #random: ReturnType<typeof seededRandom>;
  readonly #ports: readonly (readonly [port: number, examples: readonly Buffer[]])[];

  constructor(fleet: TestFleet, seed: number) {
    this.#random = seededRandom(seed);
    this.#below = (count) => Math.floor(this.#random.unit() * count);
    this.#ports = [
      [fleet.registryPort, registryRequests(fleet.honestId)],
      [fleet.tcpPort, FRAMES],
      [fleet.httpPort, REQUESTS],
    ];
  }

  async run(seconds: number): Promise<void> {
    const until = performance.now() + seconds * 1_000;
    const connectInTurn = async (): Promise<void> => {
      while (performance.now() < until) await this.#connect();
    };
    await Promise.all(Array.from({ length: CONCURRENT }, connectInTurn));
  }

  async #connect(): Promise<void> {
    const [port, examples] = this.#pick(this.#ports);
    const bytes = this.#bytes(this.#pick(KINDS), examples);
    const end = this.#pick(ENDS);
    const pieces = 1 + this.#below(4);
    this.connections += 1;
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    const isOver = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    // the result does not matter for attackers
    socket.on('error', () => {});
    socket.resume();
    const size = Math.ceil(bytes.length / pieces);
    for (let at = 0; at < bytes.length; at += size) {
      if (socket.destroyed) break;
      socket.write(bytes.subarray(at, at + size));
      await pause(0);
    }
    await leave(socket, end, isOver);
  }

  #bytes(kind: (typeof KINDS)[number], examples: readonly Buffer[]): Buffer {
    const example = this.#pick(examples);
    if (kind === 'random') return Buffer.from(this.#random.bytes(1 + this.#below(1_500)));
    if (kind === 'cut') return example.subarray(0, 1 + this.#below(example.length));
    if (kind === 'piled') return Buffer.concat(Array.from({ length: 2 + this.#below(12) }, () => this.#pick(examples)));
    if (kind === 'valid') return example;
    const edits = Array.from({ length: 1 + this.#below(4) }, () => ({
      kind: this.#pick(EDITS),
      at: this.#below(65_536),
      value: this.#below(256),
      bytes: this.#random.bytes(1 + this.#below(8)),
    }));
    return Buffer.from(edited(example, edits));
  }

  #pick<Item>(items: readonly Item[]): Item {
    return items[this.#below(items.length)] as Item;
  }
}

async function leave(socket: Socket, end: (typeof ENDS)[number], isOver: Promise<void>): Promise<void> {
  if (end === 'reset') socket.resetAndDestroy();
  else if (end === 'destroy') socket.destroy();
  else {
    if (end !== 'hang') socket.end();
    await Promise.race([isOver, pause(end === 'end' ? 20 : HANG_MS)]);
    socket.destroy();
  }
  await isOver;
}

const request = (start: string, headers: readonly string[] = [], body = ''): Buffer => {
  const length = body === '' ? [] : ['content-type: application/json', `content-length: ${Buffer.byteLength(body)}`];
  return Buffer.from([`${start} HTTP/1.1`, 'host: localhost', ...headers, ...length, '', body].join('\r\n'));
};

/** Requests that any client may send to a registry; none of them may harm an instance. */
function registryRequests(honestId: string): readonly Buffer[] {
  const body = JSON.stringify({ id: 'stranger-1', service: 'strangers', endpoints: [{ protocol: 'tcp', port: 1 }] });
  return [
    request('GET /api/v1/services'),
    request('GET /api/v1/services/honest?state=HEALTHY&revision=0&waitMs=50'),
    request('GET /api/v1/watch?service=*&namespace=*', ['last-event-id: 0192f0a1-7c3e-7a61-8f00-1a2b3c4d5e6f.1']),
    request('GET /api/v1/events?limit=5'),
    request('POST /api/v1/register', [], body),
    request('POST /api/v1/instances/stranger-1/heartbeat', ['authorization: Bearer x'], '{"nonce":null,"seq":1}'),
    request(`POST /api/v1/instances/${honestId}/heartbeat`, ['authorization: Bearer wrong'], '{"nonce":null,"seq":1}'),
    request(`POST /api/v1/instances/${honestId}/suspect`, [], '{"by":"a stranger","outcome":"refused"}'),
    request(`DELETE /api/v1/instances/${honestId}`, ['authorization: Bearer wrong']),
    request('POST /api/v1/instances/stranger-1/drain', ['expect: 100-continue'], '{"deadlineMs":5}'),
  ];
}

const FRAMES: readonly Buffer[] = [
  { pattern: 'count', data: { id: '1' }, id: '1' },
  { pattern: 'nothing-such', data: null, id: '2' },
  { pattern: 'count', data: { id: 'é\u{1f600}' } },
  { pattern: 'rollcall.heartbeat-1', data: { nonce: 'nonce-12', instance: 'a', keep: true }, id: '3' },
  { pattern: { __proto__: 1, cmd: 'count' }, data: [], id: { a: 1 } },
].map((frame) => Buffer.from(encodeFrame(frame)));

const CALL = '{"replica":"replica-1","instance":"a","nonce":"nonce-12","purpose":"urgent","mac":"00"}';
const REQUESTS: readonly Buffer[] = [
  request('GET /stock/7', ['rollcall-deadline-ms: 50', 'rollcall-attempt: 2']),
  request('GET /stock/7', ['rollcall-target: another', 'rollcall-deadline-ms: -1']),
  request('POST /.well-known/rollcall/heartbeat-1', [], CALL),
  request('GET /.well-known/rollcall/ready'),
  request('POST /stock/7', ['transfer-encoding: chunked'], '5\r\nabcde\r\n0\r\n\r\n'),
];
