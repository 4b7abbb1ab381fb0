import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTestRegistry } from '../../testing.js';
import type { RunningRegistry } from '../start.js';

const SECRET = 'a-secret-of-132-bits-22';
const EDGE = {
  service: 'orders',
  windowMs: 5_000,
  calls: 50,
  failures: 0,
  retries: 1,
  p50Ms: 2,
  p99Ms: 9,
  inFlight: 0,
};

describe('GET /api/v1/topology', () => {
  let registry: RunningRegistry;
  beforeEach(async () => {
    registry = await startTestRegistry();
  });
  afterEach(() => registry.close());

  const post = (path: string, body: object): Promise<Response> =>
    fetch(`${registry.url}/api/v1/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${SECRET}` },
      body: JSON.stringify(body),
    });
  const report = (service: string, edges: object[]): Promise<Response> =>
    post(`instances/${service}-1/heartbeat`, { nonce: null, seq: 1, edges });
  const topology = async (query = ''): Promise<any> => (await fetch(`${registry.url}/api/v1/topology${query}`)).json();

  it('shows the reports of heartbeats, without their invalid parts', async () => {
    const endpoints = [{ protocol: 'tcp', port: 9 }];
    await post('register', { id: 'web-1', service: 'web', endpoints, secret: SECRET });
    const edges = [{ ...EDGE, service: 'No Name' }, EDGE, { ...EDGE, calls: 'many' }, null];
    const answer = await post('instances/web-1/heartbeat', { nonce: null, seq: 1, edges });
    expect(answer.status).toBe(200);
    const { withinMs, edges: seen } = await topology();
    expect(withinMs).toBe(15_000);
    expect(seen).toEqual([expect.objectContaining({ from: 'web', to: 'orders', callers: 1, callsPerSecond: 10 })]);
    expect((await topology('?namespace=shop')).edges).toEqual([]);
    expect((await topology('?namespace=*')).edges).toHaveLength(1);
  });

  it('shows only what is requested: some services, no targets, or a summary', async () => {
    const endpoints = [{ protocol: 'tcp', port: 9 }];
    const targets = [{ instance: 'orders-1', calls: 50, failures: 3, circuit: 'open' }];
    for (const [at, service] of ['web', 'app', 'cart'].entries()) {
      const port = 9 + at;
      await post('register', { id: `${service}-1`, service, endpoints: [{ ...endpoints[0], port }], secret: SECRET });
    }
    await report('web', [
      { ...EDGE, failures: 3, targets },
      { ...EDGE, service: 'cart' },
    ]);
    await report('app', [{ ...EDGE, retries: 4 }]);
    const pairsOf = async (query: string) => (await topology(query)).edges.map((one: any) => `${one.from}>${one.to}`);
    expect(await pairsOf('')).toEqual(['app>orders', 'web>cart', 'web>orders']);
    expect(await pairsOf('?service=cart')).toEqual(['web>cart']);
    expect(await pairsOf('?service=app&service=cart')).toEqual(['app>orders', 'web>cart']);
    expect(await pairsOf('?service=*')).toHaveLength(3);
    expect(await pairsOf('?service=nobody')).toEqual([]);
    const [, , bare] = (await topology('?targets=false')).edges;
    expect(bare.targets).toBeUndefined();
    expect(bare.circuits).toEqual({ closed: 0, open: 1, halfOpen: 0 });
    expect(await topology('?summary=true')).toEqual({
      withinMs: 15_000,
      edges: 3,
      calls: 150,
      callsPerSecond: 30,
      failures: 3,
      retries: 6,
      called: [
        { namespace: 'default', service: 'cart', calls: 50, failures: 0, retries: 1 },
        { namespace: 'default', service: 'orders', calls: 100, failures: 3, retries: 5 },
      ],
      failing: [{ namespace: 'default', service: 'web', failures: 3 }],
    });
  });

  it.each(['targets=perhaps', 'summary=1', 'service=No%20Name'])('refuses %s', async (query) => {
    await expect(topology(`?${query}`)).resolves.toMatchObject({ code: 'INVALID' });
  });

  it('refuses an invalid namespace', async () => {
    await expect(topology('?namespace=A%20B')).resolves.toMatchObject({ code: 'INVALID' });
  });

  it('shows the instances that were called, and their recent calls', async () => {
    const endpoints = [{ protocol: 'tcp', port: 9 }];
    await post('register', { id: 'web-1', service: 'web', endpoints, secret: SECRET });
    const good = { instance: 'orders-1', calls: 50, failures: 0, circuit: 'half-open' };
    const targets = [good, { ...good, circuit: 'ajar' }, { ...good, instance: '' }];
    await post('instances/web-1/heartbeat', { nonce: null, seq: 1, edges: [{ ...EDGE, window: 3, targets }] });
    const { edges } = await topology();
    const circuits = { closed: 0, open: 0, halfOpen: 1 };
    expect(edges[0].targets).toEqual([
      { instance: 'orders-1', callsPerSecond: 10, failures: 0, p99Ms: null, circuits },
    ]);
    const events: any = await (await fetch(`${registry.url}/api/v1/events?kind=circuit`)).json();
    expect(events.events).toMatchObject([{ instance: 'web-1', text: 'opened its circuit to orders…rs-1' }]);
  });

  it.each([
    ['', 200],
    ['?namespace=*&from=web&to=orders&step=1m', 200],
    ['?step=1h', 400],
    ['?from=No%20Name', 400],
    ['?to=', 400],
    ['?namespace=A%20B', 400],
  ])('answers a query of the traffic with "%s": %i', async (query, status) => {
    const answer = await fetch(`${registry.url}/api/v1/traffic${query}`);
    expect(answer.status).toBe(status);
    const body: any = await answer.json();
    if (status !== 200) return;
    expect(body.stepMs).toBe(query === '' ? 5_000 : 60_000);
    // a test that takes long has completed points, without calls
    expect(body.points.filter(({ calls }: { readonly calls: number }) => calls > 0)).toEqual([]);
  });

  it('is described by its schema', async () => {
    const document: any = await (await fetch(`${registry.url}/openapi.json`)).json();
    const { schema } = document.paths['/api/v1/topology'].get.responses['200'].content['application/json'];
    const [whole, summary] = schema.anyOf;
    const endpoints = [{ protocol: 'tcp', port: 9 }];
    await post('register', { id: 'web-1', service: 'web', endpoints, secret: SECRET });
    await post('instances/web-1/heartbeat', { nonce: null, seq: 1, edges: [EDGE] });
    const { edges } = await topology();
    const { properties, required } = whole.properties.edges.items;
    expect(Object.keys(edges[0]).toSorted()).toEqual(Object.keys(properties).toSorted());
    const bare = (await topology('?targets=false')).edges[0];
    expect(Object.keys(bare).toSorted()).toEqual(required.toSorted());
    expect(Object.keys(await topology('?summary=true')).toSorted()).toEqual(summary.required.toSorted());
  });
});
