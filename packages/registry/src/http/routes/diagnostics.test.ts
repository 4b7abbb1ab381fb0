import { ManualTime } from '@rollcall/core/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { startTestRegistry } from '../../testing.js';
import { Refused } from './diagnostics.js';

const document = (code: string) => ({ code, detail: `${code} of it`, fix: 'fix it' });
const from = { from: '10.0.0.5', service: 'orders' };

describe('Refused', () => {
  it('lists each source and reason once, with its count, the newest first', async () => {
    const time = new ManualTime();
    const refused = new Refused(time);
    refused.note(document('UNAUTHORIZED'), from);
    refused.note(document('ID_HELD'), from);
    await time.advanceBy(1_000);
    refused.note(document('UNAUTHORIZED'), from);
    const words = { detail: 'UNAUTHORIZED of it', fix: 'fix it', ...from };
    expect(refused.answer()).toEqual([
      { code: 'UNAUTHORIZED', ...words, times: 2, agoMs: 0 },
      { ...words, code: 'ID_HELD', detail: 'ID_HELD of it', times: 1, agoMs: 1_000 },
    ]);
  });

  it('keeps 50 at most, and none for longer than ten minutes', async () => {
    const time = new ManualTime();
    const refused = new Refused(time);
    for (let place = 0; place < 60; place += 1) refused.note(document('INVALID'), { ...from, from: `10.0.0.${place}` });
    expect(refused.answer()).toHaveLength(50);
    expect(refused.answer()[0]?.from).toBe('10.0.0.59');
    await time.advanceBy(600_001);
    expect(refused.answer()).toEqual([]);
  });
});

describe('GET /api/v1/registry', () => {
  const open: { close(): Promise<void> }[] = [];
  afterEach(async () => {
    await Promise.all(open.splice(0).map((one) => one.close()));
  });

  it('reports refused registrations with their reasons, the state of the store, and the budget of the host', async () => {
    const registry = await startTestRegistry();
    open.push(registry);
    const register = (body: object): Promise<Response> =>
      fetch(`${registry.url}/api/v1/register`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    const endpoints = [{ protocol: 'tcp', port: 9 }];
    expect((await register({ id: 'orders-1', service: 'orders', endpoints })).status).toBe(201);
    expect((await register({ id: 'orders-1', service: 'orders', endpoints, secret: 'x'.repeat(22) })).status).toBe(409);
    const secret = 'The-secret-of-an-instance-in-the-wrong-field';
    expect((await register({ id: secret + '/', service: secret, endpoints })).status).toBe(400);
    const answer = (await (await fetch(`${registry.url}/api/v1/registry`)).json()) as Record<string, unknown>;
    expect(answer).toMatchObject({
      store: { trouble: null },
      refused: [
        { code: 'INVALID', from: '127.0.0.1', service: null, times: 1 },
        { code: 'ID_HELD', from: '127.0.0.1', service: 'orders', detail: expect.stringContaining('orders-1') },
      ],
    });
    expect(JSON.stringify(answer)).not.toContain(secret);
    const budgets = answer['host'] as { name: string; have: number; used: number; remedy: string }[];
    expect(budgets.every(({ have, used, remedy }) => have >= 0 && used >= 0 && remedy !== '')).toBe(true);
    const one = (await (await fetch(`${registry.url}/api/v1/instances/orders-1`)).json()) as object;
    expect(one).toMatchObject({ line: false, lineLosses: null });
  });
});
