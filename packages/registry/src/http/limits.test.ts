import { recordingLog } from '@rollcall/core/testing';
import { once } from 'node:events';
import { request } from 'node:http';
import type { IncomingMessage, RequestOptions } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import type { StartOptions } from './start-options.js';
import { startRegistry } from './start.js';
import type { RunningRegistry } from './start.js';

const SECRET = 'abcdefghijklmnopqrstuv';
const authorization = `Bearer ${SECRET}`;
const CROWD = { localAddress: '127.0.0.2' };
const SOMEBODY = { localAddress: '127.0.0.3' };

const registries: RunningRegistry[] = [];
const streams: IncomingMessage[] = [];
afterEach(async () => {
  for (const stream of streams.splice(0)) stream.destroy();
  await Promise.all(registries.splice(0).map((registry) => registry.close()));
});

interface Answer {
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly body: any;
}

/** A registry with low limits, and requests to it from any loopback address. */
async function serve(options: StartOptions) {
  const log = recordingLog();
  const registry = await startRegistry({ port: 0, intervalMs: 60_000, log, ...options });
  registries.push(registry);
  const open = async (method: string, path: string, body: unknown, from: RequestOptions): Promise<IncomingMessage> => {
    const headers = { authorization, ...(body === undefined ? {} : { 'content-type': 'application/json' }) };
    const sent = request(`${registry.url}${path}`, { method, agent: false, headers, ...from });
    sent.end(body === undefined ? undefined : JSON.stringify(body));
    const [response] = await once(sent, 'response');
    return response;
  };
  const ask = async (method: string, path: string, body?: unknown, from: RequestOptions = CROWD): Promise<Answer> => {
    const response = await open(method, path, body, from);
    const text = (await response.toArray()).join('');
    const { statusCode: status = 0, headers } = response;
    return { status, retryAfter: headers['retry-after'], body: text === '' ? null : JSON.parse(text) };
  };
  const register = (id: string, from = CROWD): Promise<Answer> =>
    ask(
      'POST',
      '/api/v1/register',
      { id, service: 'orders', secret: SECRET, endpoints: [{ protocol: 'tcp', port: 9 }] },
      from,
    );
  const watch = async (query: string, from = CROWD): Promise<number> => {
    const stream = await open('GET', `/api/v1/watch?${query}`, undefined, from);
    streams.push(stream);
    stream.resume();
    return stream.statusCode ?? 0;
  };
  return { ask, register, watch, log };
}

const times = <Value>(count: number, each: (index: number) => Promise<Value>): Promise<Value[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => each(index)));

const statuses = (answers: readonly { readonly status: number }[]): Readonly<Record<number, number>> => {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
};

describe('a flood of registrations', () => {
  it('from one address uses up only its own quota: others, and its own instances, still register and send heartbeats', async () => {
    const { ask, register, log } = await serve({
      maxInstances: 40,
      maxInstancesPerSource: 20,
      maxInstancesPerService: 40,
    });
    const answers = await times(300, (index) => register(`orders-${index}`));
    expect(statuses(answers)).toEqual({ 201: 20, 429: 280 });
    expect((await register('others-1', SOMEBODY)).status).toBe(201);
    const mine = answers.find(({ status }) => status === 201)?.body.instance.id;
    for (const id of [mine, 'others-1']) {
      expect((await ask('POST', `/api/v1/instances/${id}/heartbeat`, { nonce: null, seq: 1 })).status).toBe(200);
    }
    expect((await register(mine)).status).toBe(201);
    expect(log.texts('warn').filter((line) => line.startsWith('Refused'))).toHaveLength(1);
  });

  it('gets the limit and Retry-After, and is accepted once an instance has left', async () => {
    const { ask, register } = await serve({ maxInstances: 2 });
    expect((await register('orders-1')).status).toBe(201);
    const { status, retryAfter, body } = await register('orders-2');
    expect({ status, retryAfter, body }).toEqual({
      status: 429,
      retryAfter: '10',
      body: {
        type: 'urn:rollcall:problem:TOO_MANY',
        title: 'Too many requests',
        status: 429,
        code: 'TOO_MANY',
        detail: '1 instances were registered from 127.0.0.2, and maxInstancesPerSource is 1.',
        fix: 'Remove instances that are not needed, or raise maxInstancesPerSource in the registry; then try again.',
        retryAfterMs: 10_000,
      },
    });
    expect((await ask('DELETE', '/api/v1/instances/orders-1')).status).toBe(204);
    expect((await register('orders-2')).status).toBe(201);
  });

  it('is slowed down even if the instances leave at once', async () => {
    const { ask, register } = await serve({ maxInstances: 20 });
    let taken = 0;
    let answer = await register('orders-0');
    // 100 are allowed at once, and then one every 600 ms
    for (; answer.status === 201 && taken < 2_000; taken += 1) {
      expect((await ask('DELETE', `/api/v1/instances/orders-${taken}`)).status).toBe(204);
      answer = await register(`orders-${taken + 1}`);
    }
    expect(taken).toBeGreaterThanOrEqual(100);
    expect(answer).toMatchObject({ status: 429, retryAfter: '1', body: { code: 'TOO_MANY' } });
    expect((await register('others-1', SOMEBODY)).status).toBe(201);
  });
});

describe('a flood of watchers', () => {
  it('from one address takes neither the streams of others nor any line', async () => {
    const { register, watch } = await serve({ maxWatchers: 10, maxWatchersPerSource: 5 });
    await register('orders-1');
    const opened = await times(100, () => watch('service=orders'));
    expect(opened.filter((status) => status === 200)).toHaveLength(5);
    expect(opened.filter((status) => status === 429)).toHaveLength(95);
    expect(await watch('service=orders', SOMEBODY)).toBe(200);
    expect(await watch('instance=orders-1')).toBe(200);
  });

  it('is refused, also for long polls, and accepted once a place is free', async () => {
    const { ask, register, watch } = await serve({ maxWatchers: 2, maxWatchersPerSource: 2 });
    await register('orders-1');
    expect(await times(2, () => watch('service=orders'))).toEqual([200, 200]);
    const refusal = {
      status: 429,
      retryAfter: '10',
      body: { code: 'TOO_MANY', detail: '2 streams and long polls are open, and maxWatchers is 2.' },
    };
    expect(await ask('GET', '/api/v1/watch?service=orders')).toMatchObject(refusal);
    const { revision } = (await ask('GET', '/api/v1/services/orders')).body;
    const poll = `/api/v1/services/orders?revision=${revision}&waitMs=60000`;
    expect(await ask('GET', poll)).toMatchObject(refusal);
    streams[0]?.destroy();
    let status = 429;
    for (let tries = 0; status === 429 && tries < 1_000; tries += 1) status = await watch('service=orders');
    expect(status).toBe(200);
  });
});
