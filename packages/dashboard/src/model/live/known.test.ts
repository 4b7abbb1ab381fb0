import { describe, expect, it } from 'vitest';
import { clockText } from '../text/age.js';
import { knownOf, missingText, valueOf } from './known.js';

const pending = { value: null, error: null, receivedAt: null, requestedAt: 1_000 };
const error = new Error('nobody answers');

describe('knownOf', () => {
  it('returns pending until there is an answer or an error', () => {
    expect(knownOf(pending, null)).toEqual({ kind: 'pending' });
    expect(missingText(knownOf(pending, null))).toBe('Asking …');
  });

  it('returns unknown without an answer, since the page is old or since the request', () => {
    expect(knownOf({ ...pending, error }, null)).toEqual({ kind: 'unknown', since: 1_000, error });
    expect(knownOf(pending, 500)).toEqual({ kind: 'unknown', since: 500, error: null });
    expect(missingText(knownOf(pending, 500))).toBe(`– unknown since ${clockText(500)}`);
    expect(valueOf(knownOf(pending, 500))).toBeNull();
  });

  it('dates a value by its last answer', () => {
    const answered = { ...pending, value: 'three', receivedAt: 2_000 };
    expect(knownOf(answered, null)).toEqual({ kind: 'known', value: 'three', asOf: null });
    expect(knownOf({ ...answered, error }, null)).toMatchObject({ asOf: 2_000 });
    expect(knownOf(answered, 1_900)).toMatchObject({ asOf: 2_000 });
    expect(valueOf(knownOf(answered, 1_900))).toBe('three');
  });
});
