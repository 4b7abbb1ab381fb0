import { fromJSON } from '@grpc/proto-loader';
import { Rollcall } from '@rollcall/client';
import type { GrpcMethod } from '@rollcall/client';
import type { Instance } from '@rollcall/core';
import { connect } from 'node:net';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { variants } from '../variants.js';
import { startRegistry, urlOf } from './plain-requests.js';
import { freePort } from './free-port.js';
import { OpenLoop } from './open-loop.js';
import type { Verb } from './open-loop.js';
import { endAll, start } from './spawn.js';
import type { Child } from './spawn.js';
import { waitFor } from './wait-for.js';

// PM2's cluster mode is not run here but emulated: it forks with node:cluster too, and sets NODE_APP_INSTANCE
// (`programs/workers.mjs`)

const WORKERS = 3;
const CALLS_BEFORE_FAULT = 200;
const NON_IDEMPOTENT = { idempotent: false } as const;
const IDEMPOTENT = { idempotent: true } as const;
const PER_SECOND = { find: 50, book: 0 };

const definition = fromJSON(JSON.parse(readFileSync(new URL('programs/shop.json', import.meta.url), 'utf8')));
const { Find } = definition['shop.Orders'] as unknown as { Find: GrpcMethod<{ id: string }, Answer> };

interface Answer {
  readonly instance: string;
}
type Ask = (
  caller: Rollcall,
  service: string,
  id: string,
  callOptions: typeof NON_IDEMPOTENT | typeof IDEMPOTENT,
) => Promise<Answer>;

const ask: Readonly<Record<'tcp' | 'http' | 'grpc', Ask>> = {
  tcp: async (caller, service, id, callOptions) => (await caller.call(service, 'find', { id }, callOptions)) as Answer,
  http: async (caller, service, id, callOptions) => {
    const answer = await caller.fetch(service, `/find?id=${id}`, {}, callOptions);
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    return (await answer.json()) as Answer;
  },
  grpc: (caller, service, id, callOptions) => caller.grpc(service, Find, { id }, callOptions),
};

const KINDS = [
  ['tcp', ['tcp']],
  ['express', ['http']],
  ['fastify', ['http']],
  ['grpc', ['grpc']],
  ['hybrid-express', ['tcp', 'http', 'grpc']],
] as const;

const folder = mkdtempSync(join(tmpdir(), 'rollcall-cluster-'));
const notes = join(folder, 'notes');
let url = '';

beforeAll(async () => {
  writeFileSync(notes, '');
  url = await urlOf(startRegistry(1_000, ['--memory']));
});

afterAll(async () => {
  await endAll();
  rmSync(folder, { recursive: true });
});

describe.each(variants(KINDS, ([kind]) => kind, ['tcp']))(
  'an application over %s in a cluster of 3 workers',
  (kind, protocols) => {
    const service = `orders-${kind}`;
    let caller: Rollcall;
    let port = 0;
    let primary: Child;

    beforeEach(async () => {
      caller = new Rollcall({ registry: url });
      caller.start();
      port = await freePort();
      primary = start('workers', [], {
        KIND: kind,
        SERVICE: service,
        NOTES: notes,
        ROLLCALL_URL: url,
        PORT: String(port),
        WORKERS: String(WORKERS),
      });
    });

    afterEach(async () => {
      primary.kill('SIGTERM');
      await primary.exited;
      await caller.close();
    });

    const instances = (): readonly Instance[] => caller.service(service).instances;
    const healthy = (): readonly Instance[] => instances().filter(({ state }) => state === 'HEALTHY');
    const waitUntilHealthy = (): Promise<unknown> =>
      waitFor('all workers are HEALTHY', () => healthy().length === WORKERS);

    it('fails no call from the first one on, calls each worker, and outlives the death of one', async () => {
      await waitFor('one is registered', () => instances().length > 0);
      const failures: unknown[] = [];
      const callers = new Set<string>();
      const first = async (index: number): Promise<void> => {
        for (const protocol of protocols) {
          await ask[protocol](caller, service, `first-${index}`, NON_IDEMPOTENT).then(
            ({ instance }) => callers.add(instance),
            (error: unknown) => failures.push(error),
          );
        }
      };
      for (let index = 0; index < CALLS_BEFORE_FAULT; index += 1) await first(index);
      expect(failures.map(String)).toEqual([]);
      await waitUntilHealthy();
      for (let index = 0; callers.size < WORKERS && index < CALLS_BEFORE_FAULT; index += 1) await first(index);
      expect(
        healthy()
          .map(({ id }) => id)
          .toSorted(),
      ).toEqual([...callers].toSorted());

      // all others are served as before at the port that all workers share
      const socket = connect(port, '127.0.0.1');
      await once(socket, 'connect');
      socket.destroy();
      const ports = healthy().flatMap(({ endpoints }) => endpoints.map((endpoint) => endpoint.port));
      expect(new Set(ports).size).toBe(WORKERS * protocols.length);
      expect(ports).not.toContain(port);

      const victim = healthy().at(0)!;
      const makeCall = async (_: Verb, id: string): Promise<string> => {
        const answers = await Promise.all(protocols.map((protocol) => ask[protocol](caller, service, id, IDEMPOTENT)));
        return answers.at(0)!.instance;
      };
      const load = new OpenLoop(service, makeCall, PER_SECOND);
      await waitFor('the load runs', () => load.outcomes.length > 50);
      process.kill(Number(victim.metadata['pid']), 'SIGKILL');
      await primary.line(/^worker \d+ ended: SIGKILL$/);
      await waitFor('a new worker took its place', () => healthy().length === WORKERS && !healthy().includes(victim));
      const made = load.outcomes.length;
      await waitFor('it was called, too', () => load.outcomes.length > made + 50);
      await load.stop();
      expect(load.outcomes.filter(({ failure }) => failure !== null)).toEqual([]);
      expect(new Set(load.outcomes.slice(made).map(({ instance }) => instance)).size).toBe(WORKERS);
    });

    it('drains a worker that gets SIGTERM, without a failed call', async () => {
      await waitUntilHealthy();
      const leavingId = healthy().at(0)!;
      const makeCall = async (_: Verb, id: string): Promise<string> => {
        const answers = await Promise.all(
          protocols.map((protocol) => ask[protocol](caller, service, id, NON_IDEMPOTENT)),
        );
        return answers.at(0)!.instance;
      };
      const load = new OpenLoop(`${service}-drain`, makeCall, PER_SECOND);
      await waitFor('the load runs', () => load.outcomes.length > 50);
      process.kill(Number(leavingId.metadata['pid']), 'SIGTERM');
      await primary.line(/^worker \d+ ended: (0|SIGTERM)$/);
      await waitUntilHealthy();
      await load.stop();
      expect(load.outcomes.filter(({ failure }) => failure !== null)).toEqual([]);
    });
  },
);

describe('in a cluster of 3 workers', () => {
  it('applications without a server are HEALTHY, each at a port of its own', async () => {
    const caller = new Rollcall({ registry: url });
    caller.start();
    onTestFinished(() => caller.close());
    start('workers', [], { KIND: 'context', SERVICE: 'cron', NOTES: notes, ROLLCALL_URL: url });
    const view = caller.service('cron');
    const healthy = (): readonly Instance[] => view.instances.filter(({ state }) => state === 'HEALTHY');
    await waitFor('all workers are HEALTHY', () => healthy().length === WORKERS);
    expect(new Set(healthy().map(({ endpoints }) => endpoints[0]?.port)).size).toBe(WORKERS);
  });

  it('an embedded registry is one registry that all workers find', async () => {
    const port = await freePort();
    const registry = `http://127.0.0.1:${port}`;
    start('workers', [], { PROGRAM: 'embedded.mjs', SERVICE: 'shop', PORT: String(port), INTERVAL: '1000' });
    const caller = new Rollcall({ registry });
    caller.start();
    onTestFinished(() => caller.close());
    const view = caller.service('shop');
    await waitFor('all workers are HEALTHY', () => {
      return view.instances.filter(({ state }) => state === 'HEALTHY').length === WORKERS;
    });
    const replicas = new Set<string>();
    for (let index = 0; index < 2 * WORKERS; index += 1) {
      const response = await fetch(`${registry}/api/v1/registry`, { headers: { connection: 'close' } });
      replicas.add(((await response.json()) as { replica: string }).replica);
    }
    expect(replicas.size).toBe(1);
  });
});
