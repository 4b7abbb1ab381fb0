import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Pki } from './pki.fixture.js';
import { listsOf } from './revocation-lists.js';

let pki: Pki;
beforeAll(async () => {
  pki = await Pki.make();
});
afterAll(() => pki.close());

describe('a file of revocation lists', () => {
  it.each([
    ['an hour', 3_600],
    ['63 years, in the other notation from 2050 on', 2_000_000_000],
  ])('has an end of validity: %s', async (_, seconds) => {
    const text = await pki.passingList(seconds);
    const [term] = listsOf(text).terms;
    expect((term?.until ?? 0) - (term?.from ?? 0)).toBe(seconds * 1_000);
    expect(Math.abs(Date.now() - (term?.from ?? 0))).toBeLessThan(20_000);
  });

  it('may have several lists, and text between them', async () => {
    const [one, other] = [await pki.passingList(60), await pki.passingList(120)];
    const { texts, terms } = listsOf(`of one CA\n${one}of another\n${other}`);
    expect(texts).toEqual([one.trim(), other.trim()]);
    expect(terms.map(({ from, until }) => until - from)).toEqual([60_000, 120_000]);
  });

  it.each([
    ['nothing', 'no revocation list'],
    ['-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----', 'Failed to parse CRL'],
  ])('is refused without a list: %j', (text, why) => {
    expect(() => listsOf(text)).toThrow(why);
  });
});
