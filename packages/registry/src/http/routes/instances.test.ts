import type { ServiceAnswer } from '@rollcall/core';
import { ManualTime } from '@rollcall/core/testing';
import fastify from 'fastify';
import { get } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import type { Outcome, RegistryApi, Watcher, WatcherSink, WatchOrder } from '../../registry-api.js';
import { OPEN_ENTRANCE } from '../access/authorization.js';
import type { RouteContext } from '../route-context.js';
import { serveRegistry } from '../server.js';
import type { RegistryServer } from '../server.js';
import { peopleRoutes } from './instances.js';

const EPOCH = '0192f0c4-0000-7000-8000-000000000001';

const servers: RegistryServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

interface Row {
  readonly id: string;
  readonly revision: number;
  readonly state?: string;
  readonly version?: string;
  readonly zone?: string;
}

/** One service, `orders`, whose view the test sets; `watching` holds the sinks that wait for a flush. */
class FakeService {
  readonly watching = new Set<WatcherSink>();
  view: Partial<Record<'instances' | 'removed', Row[]>> & { revision: number } = { revision: 5 };
  #watched = (): void => {};
  readonly watched = new Promise<void>((resolve) => (this.#watched = resolve));

  readonly service = (namespace: string, name: string): Outcome<ServiceAnswer> => {
    const problem = { code: 'NOT_FOUND', detail: `no ${name}`, fix: 'look' } as const;
    if (name !== 'orders') return { ok: false, problem };
    const answer = { service: name, namespace, epoch: EPOCH, settled: true, instances: [], removed: [], ...this.view };
    return { ok: true, value: answer as unknown as ServiceAnswer };
  };

  readonly watch = (_order: WatchOrder, sink: WatcherSink): Outcome<Watcher> => {
    this.watching.add(sink);
    this.#watched();
    return { ok: true, value: { closed: () => void this.watching.delete(sink) } };
  };

  flush(): void {
    for (const sink of this.watching) sink.flush([], { epoch: EPOCH, revision: this.view.revision });
  }
}

async function serve(): Promise<{
  orders: FakeService;
  time: ManualTime;
  server: RegistryServer;
  ask: (path: string) => Promise<any>;
}> {
  const orders = new FakeService();
  const time = new ManualTime();
  const registry = { ready: true, service: orders.service, watch: orders.watch } as unknown as RegistryApi;
  const server = await serveRegistry({ registry, port: 0, time });
  servers.push(server);
  const ask = async (path: string): Promise<any> => (await fetch(`${server.url}/api/v1/services/${path}`)).json();
  return { orders, time, server, ask };
}

describe('the view of a service', () => {
  const rows: Row[] = [
    { id: 'a', revision: 1, state: 'HEALTHY', version: '1', zone: 'x' },
    { id: 'b', revision: 2, state: 'CRITICAL', version: '1', zone: 'y' },
    { id: 'c', revision: 3, state: 'HEALTHY', version: '2', zone: 'x' },
  ];

  it.each([
    ['', ['a', 'b', 'c']],
    ['?state=HEALTHY', ['a', 'c']],
    ['?state=HEALTHY&state=CRITICAL&version=1', ['a', 'b']],
    ['?zone=x&version=2', ['c']],
    ['?zone=nowhere', []],
  ])('filtered by "%s" has the matching instances, and all tombstones', async (query, ids) => {
    const { orders, ask } = await serve();
    orders.view = { revision: 5, instances: rows, removed: [{ id: 'd', revision: 4 }] };
    const answer = await ask(`orders${query}`);
    expect(answer.instances.map(({ id }: Row) => id)).toEqual(ids);
    expect(answer.removed).toHaveLength(1);
  });

  it('is of the requested namespace', async () => {
    const { ask } = await serve();
    expect(await ask('orders')).toMatchObject({ namespace: 'default' });
    expect(await ask('orders?namespace=shop')).toMatchObject({ namespace: 'shop' });
  });
});

describe('a long poll', () => {
  it('is answered at once if the view is newer than the revision of the caller', async () => {
    const { orders, ask } = await serve();
    orders.view = { revision: 9, removed: [{ id: 'a', revision: 6 }] };
    expect(await ask('orders?revision=5&waitMs=30000')).toMatchObject({ revision: 9 });
  });

  it('is answered at once when the caller is ahead: it knows another epoch', async () => {
    const { ask } = await serve();
    expect(await ask('orders?revision=500&waitMs=30000')).toMatchObject({ revision: 5 });
  });

  it('is refused at once for a service that is unknown', async () => {
    const { ask } = await serve();
    expect(await ask('unknown?revision=5&waitMs=30000')).toMatchObject({ status: 404 });
  });

  it('waits for a change of its service, and for no other', async () => {
    const { orders, time, ask } = await serve();
    const answer = ask('orders?revision=5&waitMs=30000');
    await orders.watched;
    orders.view = { revision: 6 };
    orders.flush();
    await time.advanceBy(1);
    expect(orders.watching.size).toBe(1);
    orders.view = { revision: 7, instances: [{ id: 'a', revision: 7 }] };
    orders.flush();
    expect(await answer).toMatchObject({ revision: 7 });
    expect(orders.watching.size).toBe(0);
    expect(time.pending().background).toBe(0);
  });

  it('gives the same answer when its time is over', async () => {
    const { orders, time, ask } = await serve();
    const answer = ask('orders?revision=5&waitMs=30000');
    await orders.watched;
    // else the wait counts as one long turn of the event loop
    await time.advanceBy(0);
    time.advance(30_000);
    expect(await answer).toMatchObject({ revision: 5, instances: [] });
    expect(orders.watching.size).toBe(0);
  });

  it('is answered when the server closes', async () => {
    const { orders, server, ask } = await serve();
    const answer = ask('orders?revision=5&waitMs=30000');
    await orders.watched;
    await Promise.all([server.close(), expect(answer).resolves.toMatchObject({ revision: 5 })]);
    expect(orders.watching.size).toBe(0);
  });

  it('does not answer a caller that is no longer trusted', async () => {
    const orders = new FakeService();
    const answers: unknown[] = [];
    const service: RegistryApi['service'] = (namespace, name, withHeartbeats) => {
      const answer = orders.service(namespace, name);
      if (withHeartbeats === true) answers.push(answer);
      return answer;
    };
    const app = fastify();
    let isRetired = false;
    await app.register(peopleRoutes, {
      registry: { ready: true, service, watch: orders.watch },
      time: new ManualTime(),
      authorization: OPEN_ENTRANCE,
      lasting: new Set(),
      queue: { turn: async () => {} },
      tls: { isRetired: () => isRetired },
    } as unknown as RouteContext);
    const url = await app.listen({ port: 0, host: '127.0.0.1' });
    const broken = fetch(`${url}/api/v1/services/orders?revision=5&waitMs=30000&heartbeats=true`);
    await orders.watched;
    isRetired = true;
    orders.view = { revision: 7, instances: [{ id: 'a', revision: 7 }] };
    orders.flush();
    await expect(broken).rejects.toThrow('fetch failed');
    await app.close();
    expect(answers).toEqual([]);
  });

  it('ends when its caller disconnects', async () => {
    const { orders, server } = await serve();
    const request = get(`${server.url}/api/v1/services/orders?revision=5&waitMs=30000`, { agent: false });
    request.on('error', () => {});
    await orders.watched;
    request.destroy();
    await expect.poll(() => orders.watching.size).toBe(0);
  });
});
