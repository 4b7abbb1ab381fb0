import type { IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { createRequester } from '../request.fixture.js';
import { SECURITY_HEADERS } from '../exchange/security-headers.js';

/** The address of a file that the dashboard's page loads. */
async function assetOf(ask: (path: string) => Promise<IncomingMessage>): Promise<string> {
  const [asset] = /assets\/[\w.-]+\.js/.exec(await text(await ask('/'))) ?? [];
  return `/${asset}`;
}

describe('files of the dashboard', () => {
  it.each([
    ['a missing file', '/assets/index-00000000.js', {}, 404],
    ['a range that a file does not have', null, { range: 'bytes=999999999-' }, 400],
  ])('does not let a browser cache the refusal of %s', async (_what, path, headers, status) => {
    const ask = await createRequester();
    const asset = await assetOf(ask);
    const refused = await ask(path ?? asset, headers);
    expect({ status: refused.statusCode, ...refused.headers }).toMatchObject({ status, ...SECURITY_HEADERS });
  });

  it.each([
    ['a file', {}, 200],
    ['a part of one', { range: 'bytes=0-3' }, 206],
  ])('lets a browser cache %s for a year', async (_what, headers, status) => {
    const ask = await createRequester();
    const asset = await assetOf(ask);
    const sent = await ask(asset, headers);
    expect(sent.statusCode).toBe(status);
    expect(sent.headers['cache-control']).toBe('public, max-age=31536000, immutable');
    const { etag = '' } = sent.headers;
    const known = await ask(asset, { 'if-none-match': etag });
    expect([known.statusCode, known.headers['cache-control']]).toEqual([304, sent.headers['cache-control']]);
  });
});
