import { describe, expect, it } from 'vitest';
import { jsonText } from './json-text.js';

describe('JSON for a terminal', () => {
  it('contains no control sequences, and parses to the same value', () => {
    const value = { '\u202Ekey': 'a\u009B31m\u007F\u2028\u{E0041}', plain: 'é 漢 😀 \n' };
    const text = jsonText(value);
    expect(text).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    expect(text).toContain('\\u009b31m\\u007f\\u2028\\udb40\\udc41');
    expect(text).toContain('é 漢 😀');
    expect(JSON.parse(text)).toEqual(value);
  });

  it('indents if requested, and writes null for undefined', () => {
    expect(jsonText({ a: 1 }, 2)).toBe('{\n  "a": 1\n}');
    expect(jsonText(undefined)).toBe('null');
  });
});
