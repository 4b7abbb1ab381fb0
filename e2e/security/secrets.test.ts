import type { Meter } from '@rollcall/core';
import { diskStore } from '@rollcall/registry';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { POLL, Stage } from './stage.fixture.js';

/**
 * "Secrets in logs, errors, /api/v1/registry, metrics: never". All output that is provoked here is recorded, and then
 * searched.
 */

let stage: Stage;
afterAll(() => stage.close());

/** Hexadecimal digits as long as a hash or a key, in the files of the registry. */
async function keysIn(folder: string): Promise<readonly string[]> {
  const found = new Set<string>();
  for (const file of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!file.isFile()) continue;
    const text = await readFile(join(file.parentPath, file.name), 'latin1');
    for (const [, key = ''] of text.matchAll(/"(?:secretHash|callKey|hash)":\s*"([0-9a-f]{64})"/g)) found.add(key);
  }
  return [...found];
}

/** Records every name, help text and label of the metrics. */
function createNamingMeter(counted: string[]): Meter {
  const note = (_value: number, ...labels: readonly string[]): void => void counted.push(...labels);
  const forget = (...labels: readonly string[]): void => void counted.push(...labels);
  const instrument = (
    name: string,
    help: string,
  ): { add: typeof note; set: typeof note; record: typeof note; forget: typeof forget } => {
    counted.push(name, help);
    return { add: note, set: note, record: note, forget };
  };
  return { counter: instrument, gauge: instrument, histogram: instrument };
}

it('no token, no secret, no hash and no key is in any answer, stream, log line or metric, whatever was requested', async () => {
  stage = await Stage.make();
  const service = await stage.token({ services: ['orders', 'pay-*'] });
  const reader = await stage.token({ role: 'reader', services: [] });
  const operator = await stage.token({ role: 'operator', services: [] });
  const expired = await stage.token({ expiresAt: 2 });
  const revoked = await stage.token({}, 2);
  const folder = join(stage.folder, 'data');
  const counted: string[] = [];
  await stage.start({
    intervalMs: 60_000,
    store: diskStore({ folder, log: stage.log }),
    meter: createNamingMeter(counted),
  });
  const { rollcall } = await stage.startService(service);
  const drawn = await stage.ask('/api/v1/register', {
    method: 'POST',
    bearer: service,
    body: { id: 'orders-drawn', service: 'orders', endpoints: [{ protocol: 'tcp', port: 9 }] },
  });
  // the one place where a secret is sent: once, to the client that it was drawn for
  stage.answers.pop();
  stage.secrets.push(drawn.body.secret);
  const { secret } = await stage.register(service, 'orders-1');
  await stage.register(service, 'orders-2');
  const own = ['orders-1', 'orders-2', 'orders-drawn', 'pay-1', 'nobody', rollcall.id];
  const bearers = [
    null,
    service,
    reader,
    operator,
    expired,
    revoked,
    secret,
    drawn.body.secret,
    `${service}x`,
    `x${secret}`,
  ];
  const streams = await Promise.all(
    [reader, service].map((bearer) =>
      stage.open(
        `GET /api/v1/watch?service=*&namespace=* HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${bearer}\r\n\r\n`,
      ),
    ),
  );
  const line = await stage.open(
    `GET /api/v1/watch?instance=orders-1&service=orders HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${secret}\r\n\r\n`,
  );

  // every route that the registry describes, with all kinds of credentials, and secrets where they do not belong
  const { body: openapi } = await stage.ask('/openapi.json');
  const routes = Object.entries<Record<string, unknown>>(openapi.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => [method.toUpperCase(), path] as const),
  );
  expect(routes.length).toBeGreaterThan(14);
  const bodyFor = (path: string, id: string, bearer: string | null): object => {
    if (path.endsWith('register')) {
      return {
        id,
        service: 'orders',
        secret: bearer ?? 'short',
        endpoints: [{ protocol: 'tcp', port: 'x' }],
        Secret: secret,
      };
    }
    if (path.endsWith('heartbeat')) return { nonce: service, seq: -1, secret };
    if (path.endsWith('suspect')) return { by: service, outcome: operator, secret };
    return { admin: operator, reason: 1, deadlineMs: service, secret };
  };
  const tries = routes.flatMap(([method, path]) =>
    bearers.flatMap((bearer) => own.slice(0, method === 'GET' ? 6 : 2).map((id) => ({ method, path, bearer, id }))),
  );
  // requests that end an instance come last
  const ends = [operator, secret, drawn.body.secret];
  for (const { method, path, bearer, id } of tries) {
    if (method === 'DELETE' && ends.includes(bearer)) continue;
    const where = path.replace('{id}', id).replace('{name}', 'orders');
    const body = method === 'POST' || method === 'PATCH' ? { body: bodyFor(path, id, bearer) } : {};
    await stage.ask(where, { method, bearer, ...body });
  }
  // operators' actions, and their results
  const act = (method: string, path: string, bearer: string, body?: object) =>
    stage.ask(path, { method, bearer, ...(body === undefined ? {} : { body }) });
  await act('PATCH', '/api/v1/instances/orders-1', operator, { admin: 'MAINTENANCE', reason: 'a cable', weight: 5 });
  await act('POST', '/api/v1/instances/orders-2/drain', 'the-secret-of-orders-2-which-is-long', { deadlineMs: 0 });
  await act('DELETE', '/api/v1/instances/orders-drawn', drawn.body.secret);
  await act('DELETE', '/api/v1/instances/orders-1', operator);
  await act('POST', '/api/v1/instances/orders-1/heartbeat', secret, { nonce: null, seq: 9 });
  // as a client with an invalid token, whose own log is recorded too
  await expect.poll(() => line.text(), POLL).toContain('event: gone');
  for (const path of [
    '/api/v1/events?limit=1000',
    '/api/v1/registry',
    `/api/v1/instances/${rollcall.id}/timeline`,
    '/api/v1/topology',
    '/metrics',
  ]) {
    expect((await stage.ask(path, { bearer: operator })).status).toBe(200);
  }
  // in a URL, where it does not belong either
  await stage.ask(`/api/v1/services?token=${service}`, { bearer: null });
  await stage.ask(`/api/v1/watch?service=${service}`, { bearer: reader });
  await stage.sendRaw(
    `GET /api/v1/services HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${service} \0\r\n\r\n`,
  );

  const keys = await keysIn(stage.folder);
  expect(keys.length).toBeGreaterThan(8);
  const output = [
    ...stage.answers,
    ...[...streams, line].map(({ text }) => text()),
    ...stage.log.texts(),
    ...counted,
  ].join('\n');
  expect(output.length).toBeGreaterThan(100_000);
  const provoked = ['orders-1', 'a cable', 'event: reset', 'Access refused', 'UNAUTHORIZED'];
  expect(provoked.filter((secrets) => !output.includes(secrets))).toEqual([]);
  const secrets = [...new Set([...stage.secrets, ...keys])];
  const secretsIn = (text: string): string[] => secrets.filter((word) => text.includes(word));
  expect(secretsIn(output)).toEqual([]);
  // the search does find planted values
  const plantedSecrets = [keys.at(0)!, stage.secrets.at(0)!];
  expect(secretsIn([output, ...plantedSecrets].join('\n')).toSorted()).toEqual(plantedSecrets.toSorted());
  // its folder is named only in its own log
  expect(stage.answers.filter((text) => text.includes(stage.path))).toEqual([]);
});
