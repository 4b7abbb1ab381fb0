import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { startTestRegistry } from '../../testing.js';
import type { RunningRegistry } from '../start.js';

let registry: RunningRegistry;

beforeAll(async () => {
  registry = await startTestRegistry();
  for (const [service, namespace] of [
    ['users', 'default'],
    ['orders', 'staging'],
    ['orders', 'test'],
  ] as const) {
    const answer = await fetch(`${registry.url}/api/v1/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        id: `${service}-${namespace}`,
        service,
        namespace,
        endpoints: [{ protocol: 'tcp', host: '127.0.0.1', port: 9 }],
      }),
    });
    expect(answer.status).toBe(201);
  }
  // until it is settled, the absence of an instance is not certain
  const status = async (): Promise<number> => (await fetch(`${registry.url}/api/v1/services/nobody`)).status;
  await vi.waitFor(async () => expect(await status()).toBe(404), { timeout: 8_000, interval: 50 });
});
afterAll(() => registry.close());

it.each([
  ['orders', 'orders is in namespace staging, test: ask with namespace=staging.'],
  ['orders?namespace=nope', 'orders is in namespace staging, test: ask with namespace=staging.'],
  ['stock?namespace=nope', 'There is no namespace nope now; there are default, staging, test.'],
  ['stock', 'Check the name; an instance that was removed registers again with the same id and secret.'],
  ['stock?namespace=*', 'Check the name; an instance that was removed registers again with the same id and secret.'],
])('answers GET /api/v1/services/%s with 404 and a fix that names the namespace', async (path, fix) => {
  const answer = await fetch(`${registry.url}/api/v1/services/${path}`);
  expect(answer.status).toBe(404);
  expect(await answer.json()).toMatchObject({ code: 'NOT_FOUND', fix });
});
