import type { RegistryEvent } from '@rollcall/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestRegistry } from '../../testing.js';
import type { RunningRegistry } from '../start.js';

let registry: RunningRegistry;

beforeAll(async () => {
  registry = await startTestRegistry({ intervalMs: 60_000 });
  for (const [id, service, namespace] of [
    ['orders-1', 'orders', 'default'],
    ['orders-2', 'orders', 'default'],
    ['stock-1', 'stock', 'shop'],
  ]) {
    const answer = await fetch(`${registry.url}/api/v1/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ id, service, namespace, endpoints: [{ protocol: 'tcp', host: '127.0.0.1', port: 9 }] }),
    });
    expect(answer.status).toBe(201);
  }
});
afterAll(() => registry.close());

interface Answer {
  readonly older: boolean;
  readonly dropped: number;
  readonly events: readonly RegistryEvent[];
}

async function ask(query: string): Promise<{ readonly status: number; readonly body: Answer }> {
  const answer = await fetch(`${registry.url}/api/v1/events?${query}`);
  return { status: answer.status, body: (await answer.json()) as Answer };
}

describe('GET /api/v1/events', () => {
  it('is filtered by instance, state and time, each with any number of values', async () => {
    const idsOf = async (query: string) => (await ask(query)).body.events.map(({ instance }) => instance);
    expect(await idsOf('instance=orders-2')).toEqual(['orders-2']);
    expect(await idsOf('instance=orders-2&instance=orders-1')).toEqual(['orders-1', 'orders-2']);
    expect(await idsOf('state=REGISTERING&state=CRITICAL')).toEqual(['orders-1', 'orders-2']);
    expect(await idsOf('state=CRITICAL')).toEqual([]);
    const at = (await ask('instance=orders-2')).body.events.at(0)!.at;
    expect(await idsOf(`from=${at}&instance=orders-2`)).toEqual(['orders-2']);
    expect(await idsOf(`to=${at}&instance=orders-2`)).toEqual([]);
  });

  it('goes back page by page and reports whether older events exist', async () => {
    const newest = (await ask('kind=registered&namespace=*&limit=2')).body;
    expect(newest).toMatchObject({
      older: true,
      dropped: 0,
      events: [{ instance: 'orders-2' }, { instance: 'stock-1' }],
    });
    const older = (await ask(`kind=registered&namespace=*&limit=2&before=${newest.events.at(0)!.seq}`)).body;
    expect(older).toMatchObject({ older: false, events: [{ instance: 'orders-1' }] });
  });

  it('shows nothing of another namespace, regardless of other filters', async () => {
    for (const query of ['instance=stock-1', 'service=stock', 'state=REGISTERING', 'kind=registered', 'before=100'])
      expect((await ask(query)).body.events.filter(({ namespace }) => namespace === 'shop')).toEqual([]);
    expect((await ask('instance=stock-1&namespace=shop')).body.events).toHaveLength(1);
  });

  it.each([
    ['instance=a/b', 'instance'],
    [Array.from({ length: 257 }, (_, at) => `instance=i-${at}`).join('&'), 'instance'],
    ['state=DEAD', 'state'],
    ['from=yesterday', 'from'],
    ['to=-1', 'to'],
    ['from=20&to=10', 'to'],
    ['before=x', 'before'],
    ['before=2&after=1', 'before'],
  ])('refuses %s', async (query, path) => {
    const { status, body } = await ask(query);
    expect(status).toBe(400);
    expect(body).toMatchObject({ code: 'INVALID', flaws: [{ path }] });
  });

  it('has each parameter in the OpenAPI document', async () => {
    const document = (await (await fetch(`${registry.url}/openapi.json`)).json()) as {
      paths: Record<string, { get: { parameters: { name: string }[] } }>;
    };
    const names = document.paths['/api/v1/events']?.get.parameters.map(({ name }) => name);
    expect(names).toEqual(
      expect.arrayContaining(['instance', 'state', 'from', 'to', 'before', 'after', 'kind', 'limit']),
    );
  });
});
