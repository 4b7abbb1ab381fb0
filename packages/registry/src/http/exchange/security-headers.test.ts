import { describe, expect, it } from 'vitest';
import { createRequester } from '../request.fixture.js';
import { SECURITY_HEADERS } from './security-headers.js';

describe('the security headers', () => {
  it.each(['/api/v1/services', '/api/v1/nothing', '/health/live', '/openapi.json', '/api/v1/watch'])(
    'mark a response of %s as data, not as a page',
    async (path) => {
      const ask = await createRequester();
      expect((await ask(path)).headers).toMatchObject(SECURITY_HEADERS);
    },
  );

  it.each([
    ['a path that is not valid text', '/%ff', 400],
    ['a name that is not valid text', '/api/v1/services/%zz', 400],
    ['an id that is too long', `/api/v1/instances/${'a'.repeat(200)}`, 400],
    ['a path that is far too long', `/${'a'.repeat(20_000)}`, 413],
  ])('mark the refusal of %s likewise', async (_what, path, status) => {
    const ask = await createRequester();
    const { statusCode, headers } = await ask(path);
    expect({ statusCode, ...headers }).toMatchObject({ statusCode: status, ...SECURITY_HEADERS });
  });

  it('mark a stream likewise', async () => {
    const ask = await createRequester();
    const response = await ask('/api/v1/watch?service=*');
    expect(response.headers).toMatchObject({
      ...SECURITY_HEADERS,
      'cache-control': expect.stringContaining('no-store'),
    });
    response.destroy();
  });

  it.each([
    ['a page of the registry itself', 200, { 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors' }],
    ['a typed address', 200, { 'sec-fetch-site': 'none', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }],
    [
      'a followed link',
      200,
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' },
    ],
    [
      'a frame in a foreign page',
      403,
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' },
    ],
    [
      'an image in a foreign page',
      403,
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' },
    ],
    ['a page of another port of this machine', 403, { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'no-cors' }],
    ['a page of another origin', 403, { origin: 'http://evil.example' }],
    ['a page without origin', 403, { origin: 'null' }],
    ['a foreign name that resolves to this address', 421, { host: 'evil.example' }],
    ['a name that begins like ours', 421, { host: 'localhost.evil.example' }],
    ['an address that only looks like one', 421, { host: '127.0.0.1.evil.example' }],
  ] as const)('%s: %i', async (_who, status, headers) => {
    const ask = await createRequester();
    expect((await ask('/api/v1/services', headers)).statusCode).toBe(status);
  });

  it('give a form in a foreign page no effect', async () => {
    const ask = await createRequester();
    const form = { origin: 'http://evil.example', 'content-type': 'application/x-www-form-urlencoded' };
    expect((await ask('/api/v1/register', form, 'POST')).statusCode).toBe(403);
    expect(
      (await ask('/api/v1/instances/x', { origin: 'http://evil.example', 'x-rollcall-operator': '1' }, 'DELETE'))
        .statusCode,
    ).toBe(403);
  });
});
