import { describe, expect, it } from 'vitest';
import { httpRequest, isIdempotent, isOnce, isRepeatable, routeOf } from './message.js';
import type { Upload } from './upload.js';

describe('an HTTP request', () => {
  it('is a GET of the path by default', async () => {
    expect(await httpRequest('/orders/7?full=1')).toEqual({
      method: 'GET',
      path: '/orders/7?full=1',
      headers: [],
      body: null,
    });
  });

  it('has its path normalised and cannot be led to another host', async () => {
    expect((await httpRequest('/a/../b c#part')).path).toBe('/b%20c');
    expect(() => httpRequest('//evil.example/x')).toThrow('has to begin with one slash');
    expect(() => httpRequest('http://evil.example/x')).toThrow('has to begin with one slash');
  });

  it('keeps the headers of the caller, except those of the connection', async () => {
    const headers = {
      'X-Trace': '1',
      host: 'evil',
      connection: 'close',
      'rollcall-target': 'x',
      'rollcall-attempt': '9',
    };
    expect((await httpRequest('/', { headers })).headers).toEqual(['x-trace', '1']);
    expect(() => httpRequest('/', { headers: { 'x-a': 'b\r\nc: d' } })).toThrow(TypeError);
  });

  it('refuses an invalid method, and a body where none is allowed', () => {
    expect(() => httpRequest('/', { method: 'GET /x' })).toThrow('not an HTTP method');
    expect(() => httpRequest('/', { method: 'get', body: 'x' })).toThrow('has no body');
  });

  it('converts every body except a stream to one that can be sent again, with its type', async () => {
    const text = await httpRequest('/', { method: 'POST', body: 'x' });
    expect(text).toMatchObject({ body: 'x', headers: ['content-type', 'text/plain;charset=UTF-8'] });
    const form = await httpRequest('/', { method: 'POST', body: new URLSearchParams({ a: '1 2' }) });
    expect(Buffer.from(form.body as Uint8Array).toString()).toBe('a=1+2');
    expect(form.headers).toEqual(['content-type', 'application/x-www-form-urlencoded;charset=UTF-8']);
    const own = await httpRequest('/', { method: 'POST', body: '{}', headers: { 'Content-Type': 'application/json' } });
    expect(own.headers).toEqual(['content-type', 'application/json']);
    const stream = await httpRequest('/', { method: 'POST', body: new Blob(['x']).stream() });
    expect([text, form, own, stream].map(isOnce)).toEqual([false, false, false, true]);
    // reading has not begun, so the request can still move to another instance
    expect(isRepeatable(stream)).toBe(true);
    for await (const _ of stream.body as Upload) break;
    expect([text, form, own, stream].map(isRepeatable)).toEqual([true, true, true, false]);
  });

  it('is idempotent by its method', async () => {
    const methods = ['get', 'HEAD', 'OPTIONS', 'PUT', 'delete', 'POST', 'PATCH', 'QUERY'];
    const requests = await Promise.all(methods.map(async (method) => httpRequest('/', { method })));
    expect(requests.map(isIdempotent)).toEqual([true, true, true, true, true, false, false, false]);
  });

  it('has the method and the first path segment as the name for statistics', async () => {
    const routes = ['/orders/7', '/orders?x=1', '/orders', '/'].map(async (path) => routeOf(await httpRequest(path)));
    expect(await Promise.all(routes)).toEqual(['GET /orders', 'GET /orders', 'GET /orders', 'GET /']);
  });
});
