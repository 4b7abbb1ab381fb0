import { describe, expect, it } from 'vitest';
import { columnsOf, cut, padded, shortened, shortenedName, wrapped } from './columns.js';

describe('the width of a text', () => {
  it.each([
    ['orders…1e07', 11],
    ['● HEALTHY', 9],
    ['日本語', 6],
    ['ｱｲｳ', 3],
    ['ＡＢ', 4],
    ['한국어', 6],
    ['1.0-β', 5],
    ['cafe\u0301', 4],
    ['🚀', 2],
    ['👩‍👩‍👧', 2],
    ['❤️', 2],
    ['✕', 1],
    ['', 0],
  ])('counts the columns of "%s": %d', (text, columns) => {
    expect(columnsOf(text)).toBe(columns);
  });

  it('determines the cut, which splits no character', () => {
    expect(cut('日本語', 3)).toBe('日');
    expect(cut('🚀🚀', 2)).toBe('🚀');
    expect(cut('cafe\u0301s', 4)).toBe('cafe\u0301');
    expect(cut('orders', 0)).toBe('');
  });

  it('determines the padding', () => {
    expect(padded('日本', 6)).toBe('日本  ');
    expect(padded('orders', 3)).toBe('orders');
  });
});

describe('a text that is too long', () => {
  it('ends with an ellipsis', () => {
    expect(shortened('answers Heartbeat-1', 10)).toBe('answers H…');
    expect(shortened('日本語日本語', 6)).toBe('日本…');
    expect(shortened('orders', 6)).toBe('orders');
  });

  it('keeps its end if that distinguishes it from others', () => {
    expect(shortenedName('payment-gateway…1e07', 15)).toBe('payment-ga…1e07');
    expect(shortenedName('orders…1e07', 15)).toBe('orders…1e07');
    expect(shortenedName('orders…1e07', 4)).toBe('ord…');
  });

  it('wraps at spaces, and a word only if it is wider than a line', () => {
    expect(wrapped('it cannot be reached', 10)).toEqual(['it cannot', 'be reached']);
    expect(wrapped('at 0123456789abc now', 8)).toEqual(['at', '01234567', '89abc', 'now']);
    expect(wrapped('日本語 日本語', 7)).toEqual(['日本語', '日本語']);
    expect(wrapped('', 10)).toEqual(['']);
  });
});
