import { describe, expect, it } from 'vitest';
import { Upload } from '../../transport/http/upload.js';
import { dispatched } from './request.js';

function* chunks(...texts: readonly string[]): Generator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}

/** Options as undici passes them, which allow more than its types. */
const dispatch = (parts: object) => dispatched({ method: 'POST', path: '/', ...parts }, 100);

describe('a request to a dispatcher', () => {
  it('may have a header without a value', async () => {
    expect((await dispatch({ headers: { 'X-A': null, 'x-b': undefined, 'x-c': 'c' } })).headers).toEqual([
      'x-a',
      '',
      'x-c',
      'c',
    ]);
  });

  it('takes its length from the header content-length, not from a header value with that text', async () => {
    const headers = ['access-control-request-headers', 'content-length', 'content-length', '4'];
    const { body } = await dispatch({ headers, body: chunks('ab', 'cd') });
    expect(Buffer.from(body as Uint8Array).toString()).toBe('abcd');
    const unknown = await dispatch({ headers: headers.slice(0, 2), body: chunks('ab') });
    expect(unknown.body).toBeInstanceOf(Upload);
  });

  it('is refused if its body is longer or shorter than its header, before the end of the body', async () => {
    let isLeft = false;
    const endless = function* (): Generator<Uint8Array> {
      try {
        for (;;) yield Buffer.from('more');
      } finally {
        isLeft = true;
      }
    };
    const headers = { 'content-length': '6' };
    await expect(dispatch({ headers, body: endless() })).rejects.toThrow('not 6 bytes long');
    expect(isLeft).toBe(true);
    await expect(dispatch({ headers, body: chunks('abc') })).rejects.toThrow(TypeError);
  });
});
