import { once } from 'node:events';
import { get } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTestRegistry } from '../../testing.js';
import type { RunningRegistry } from '../start.js';

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
}

describe('an encoded response', () => {
  let registry: RunningRegistry;
  beforeEach(async () => {
    registry = await startTestRegistry();
  });
  afterEach(() => registry.close());

  const ask = async (path: string, headers: Record<string, string> = {}): Promise<Answer> => {
    const [response] = (await once(get(`${registry.url}${path}`, { headers }), 'response')) as [IncomingMessage];
    const bytes = Buffer.concat((await response.toArray()) as Buffer[]);
    return { status: response.statusCode ?? 0, headers: response.headers, bytes };
  };
  const register = async (service: string, at: number): Promise<void> => {
    const { status } = await fetch(`${registry.url}/api/v1/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ id: `${service}-${at}`, service, endpoints: [{ protocol: 'tcp', port: 9 }] }),
    });
    expect(status).toBe(201);
  };
  const ROUTES = [
    '/api/v1/services',
    '/api/v1/services/orders',
    '/api/v1/topology',
    '/api/v1/registry',
    '/openapi.json',
  ] as const;

  it('is plain without an Accept-Encoding', async () => {
    await register('orders', 1);
    for (const route of ROUTES) {
      const { headers, bytes } = await ask(route);
      expect(headers['content-encoding'], route).toBeUndefined();
      expect(headers['content-length'], route).toBe(String(bytes.length));
      expect(JSON.parse(String(bytes)), route).toBeTypeOf('object');
    }
  });

  it('is gzip for a client that accepts it, if that saves bytes', async () => {
    for (let at = 0; at < 12; at += 1) await register('orders', at);
    const plain = await ask('/api/v1/services/orders');
    const packed = await ask('/api/v1/services/orders', { 'accept-encoding': 'gzip, deflate, br' });
    expect(packed.headers).toMatchObject({ 'content-encoding': 'gzip', vary: 'accept-encoding' });
    expect(packed.headers['content-length']).toBe(String(packed.bytes.length));
    expect(packed.bytes.length).toBeLessThan(plain.bytes.length / 4);
    expect(JSON.parse(String(gunzipSync(packed.bytes))).instances).toHaveLength(12);
    const short = await ask('/api/v1/topology', { 'accept-encoding': 'gzip' });
    expect(short.headers['content-encoding']).toBeUndefined();
    const metrics = await ask('/metrics', { 'accept-encoding': 'gzip' });
    expect(String(gunzipSync(metrics.bytes))).toMatch(/^# HELP/);
  });

  it('is not sent again to a client that has it, until it changes', async () => {
    await register('orders', 1);
    for (const route of ['/api/v1/services', '/api/v1/services/orders', '/api/v1/topology'] as const) {
      const first = await ask(route);
      const tag = first.headers.etag!;
      expect(tag, route).toMatch(/^W\/"/);
      for (const known of [tag, `"other", ${tag.slice(2)}`, '*']) {
        const again = await ask(route, { 'if-none-match': known, 'accept-encoding': 'gzip' });
        expect([again.status, again.bytes.length, again.headers.etag], route).toEqual([304, 0, tag]);
      }
      expect((await ask(route, { 'if-none-match': '"other"' })).status, route).toBe(200);
    }
    const { etag = '' } = (await ask('/api/v1/services/orders')).headers;
    await register('orders', 2);
    expect((await ask('/api/v1/services/orders', { 'if-none-match': etag })).status).toBe(200);
  });

  it('is complete for a refusal', async () => {
    const { status, headers, bytes } = await ask('/api/v1/services/nobody?waitMs=x', {
      'accept-encoding': 'gzip',
      'if-none-match': '*',
    });
    expect(status).toBe(400);
    expect(headers['content-encoding']).toBeUndefined();
    expect(JSON.parse(String(bytes)).code).toBe('INVALID');
  });

  it('has the same head without a body', async () => {
    const { status, headers } = await fetch(`${registry.url}/api/v1/services`, { method: 'HEAD' });
    expect(status).toBe(200);
    expect(headers.get('content-encoding')).toBeNull();
  });
});
