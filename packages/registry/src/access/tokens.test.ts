import { seededRandom } from '@rollcall/core/testing';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { drawToken, isToken, parseTokens, printTokens, TokenBook, withoutTokens } from './tokens.js';
import type { TokenRecord, TokenRequest } from './tokens.js';

const REQUEST: TokenRequest = { role: 'service', services: ['orders'], note: '', expiresAt: null };
const random = seededRandom(7);
const NOW = 1_790_000_000_000;

function draw(request: Partial<TokenRequest> = {}): { readonly token: string; readonly record: TokenRecord } {
  return drawToken(random, { ...REQUEST, ...request }, NOW);
}

describe('a token', () => {
  it('is not repeated, whole or cut, if it was sent by mistake', () => {
    const { token, record } = draw();
    for (const sent of [token, token.slice(0, 40)]) {
      expect(withoutTokens(`received "${sent}"; ${sent}, allowed: a name`)).toBe(
        `received "rct_${record.id}_…"; rct_${record.id}_…, allowed: a name`,
      );
    }
    expect(withoutTokens('rct_ is how one begins')).toBe('rct_ is how one begins');
  });

  it('is recognised by its hash alone, and nothing else is stored', () => {
    const { token, record } = draw();
    expect(isToken(token)).toBe(true);
    expect(token).toMatch(/^rct_[0-9a-f]{10}_[A-Za-z0-9_-]{43}$/);
    expect(printTokens([record])).not.toContain(token.slice(15));
    expect(new TokenBook([record]).find(token, NOW)).toEqual({ kind: 'valid', grant: record });
  });

  it('differs each time', () => {
    const tokens = Array.from({ length: 100 }, () => draw().token);
    expect(new Set(tokens).size).toBe(100);
  });

  it('is unknown with one letter changed, added or missing, with another id, or if it is empty', () => {
    const { token, record } = draw();
    const other = draw();
    const book = new TokenBook([record, other.record]);
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: token.length - 1 }),
        fc.constantFrom('A', 'b', '0', '_', '-'),
        (at, letter) => {
          fc.pre(token[at] !== letter);
          expect(book.find(token.slice(0, at) + letter + token.slice(at + 1), NOW).kind).toBe('unknown');
        },
      ),
    );
    const swapped = token.slice(0, 14) + other.token.slice(14);
    for (const text of [`${token}A`, token.slice(0, -1), swapped, '', record.hash, record.id, ` ${token}`])
      expect(book.find(text, NOW)).toEqual({ kind: 'unknown' });
    expect(book.find(null, NOW)).toEqual({ kind: 'none' });
  });

  it('is valid until it expires, and never again once it is revoked', () => {
    const { token, record } = draw({ expiresAt: NOW + 1_000 });
    const book = new TokenBook([record]);
    expect(book.find(token, NOW + 999).kind).toBe('valid');
    expect(book.find(token, NOW + 1_000).kind).toBe('expired');
    expect(book.isValid(record.id, NOW + 999)).toBe(true);
    expect(book.isValid(record.id, NOW + 1_000)).toBe(false);
    expect(book.nextExpiryAfter(NOW)).toBe(NOW + 1_000);
    expect(book.nextExpiryAfter(NOW + 1_000)).toBe(Infinity);
    const revoked = new TokenBook([{ ...record, revokedAt: NOW }]);
    expect(revoked.find(token, NOW).kind).toBe('revoked');
    expect(revoked.isValid(record.id, NOW)).toBe(false);
    expect(revoked.isValid('ffffffffff', NOW)).toBe(false);
  });
});

describe('a file of tokens', () => {
  it('is read as it was written', () => {
    const records = [draw().record, draw({ role: 'reader', services: [], note: 'Grafana', expiresAt: NOW }).record];
    expect(parseTokens(printTokens(records))).toEqual({ ok: true, value: records });
    expect(parseTokens(printTokens([]))).toEqual({ ok: true, value: [] });
  });

  const good = draw().record;
  it.each([
    ['no JSON', '{', 'not valid JSON'],
    ['no object', '[]', 'no list of tokens'],
    ['no list', '{"version":1}', 'no list of tokens'],
    ['another version', '{"version":2,"tokens":[]}', 'another version'],
    ['a role that does not exist', { ...good, role: 'root' }, 'token number 1'],
    ['a service without services', { ...good, services: [] }, 'token number 1'],
    ['a reader with services', { ...good, role: 'reader' }, 'token number 1'],
    ['an invalid pattern', { ...good, services: ['*a'] }, 'token number 1'],
    ['an invalid hash', { ...good, hash: 'abc' }, 'token number 1'],
    ['a token instead of its hash', { ...good, hash: draw().token }, 'token number 1'],
    ['an invalid id', { ...good, id: '__proto__' }, 'token number 1'],
    ['no expiry', { ...good, expiresAt: undefined }, 'token number 1'],
    ['a revocation without a time', { ...good, revokedAt: 'yes' }, 'token number 1'],
  ])('is refused if it contains %s', (_what, content, why) => {
    const text = typeof content === 'string' ? content : JSON.stringify({ version: 1, tokens: [content] });
    expect(parseTokens(text)).toEqual({ ok: false, problem: expect.stringContaining(why) });
  });

  it('is refused with a duplicate id, as only one of them would apply', () => {
    expect(parseTokens(printTokens([good, good]))).toMatchObject({
      ok: false,
      problem: expect.stringContaining('same id'),
    });
  });

  it('is read or refused for any content, and never throws', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.json().map((tokens) => `{"version":1,"tokens":${tokens}}`),
        ),
        (text) => {
          expect(typeof parseTokens(text).ok).toBe('boolean');
        },
      ),
    );
  });
});
