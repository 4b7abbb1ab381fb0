// A service logs why it is not HEALTHY: a real registry, and an instance whose port is closed.
import { Rollcall } from '@rollcall/client';
import { startTestRegistry } from '@rollcall/registry/testing';
import { createServer } from 'node:http';
import { expect, it, onTestFinished } from 'vitest';
import { freePort } from './free-port.js';
import { waitFor } from './wait-for.js';

it('an unreachable instance logs the reason, and is HEALTHY again once it listens', async () => {
  const registry = await startTestRegistry();
  const lines: string[] = [];
  const write = (level: string) => (text: string) => void lines.push(`${level} ${text}`);
  const log = { debug() {}, info: write('info'), warn: write('warn'), error: write('error') };
  const orders = new Rollcall({ registry: registry.url, service: 'orders' }, { log });
  onTestFinished(async () => {
    await orders.close();
    await registry.close();
  });
  const port = await freePort();
  orders.register([{ protocol: 'http', port }]);

  const has = (pattern: RegExp) => lines.some((line) => pattern.test(line));
  const cause = `connect ECONNREFUSED 127\\.0\\.0\\.1:${port}`;
  await waitFor('it logs why', () => has(new RegExp(`^warn orders…\\w+ is (UNHEALTHY|CRITICAL) .*${cause}`)));

  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += chunk));
    request.on('end', () => response.end(JSON.stringify(orders.answer(JSON.parse(body)))));
  });
  onTestFinished(() => server.close().closeAllConnections());
  await new Promise<void>((resolve) => void server.listen(port, '127.0.0.1', resolve));
  await waitFor('it is HEALTHY', () => has(/^info orders…\w+ is HEALTHY again\.$/));
  const logged = lines.filter((line) => / is (UNHEALTHY|CRITICAL|DEREGISTERING)/.test(line));
  expect(logged.length).toBe(new Set(logged.map((line) => line.replace(/in \d+ s/, ''))).size);
});
