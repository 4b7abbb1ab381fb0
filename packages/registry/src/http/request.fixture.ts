import { once } from 'node:events';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { afterEach } from 'vitest';
import { startRegistry } from './start.js';
import type { RunningRegistry } from './start.js';

const open: RunningRegistry[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((registry) => registry.close()));
});

/**
 * Starts a registry that ends with the test; returns a function that sends it requests. The body of `/` stays unread.
 */
export async function createRequester() {
  const registry = await startRegistry({ port: 0 });
  open.push(registry);
  return async (
    path: string,
    headers: Readonly<Record<string, string>> = {},
    method = 'GET',
  ): Promise<IncomingMessage> => {
    const sent = request(registry.url + path, { method, headers, agent: false }).end();
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    if (path !== '/') response.resume();
    return response;
  };
}
