import { describe, expect, it } from 'vitest';
import { printableText, redacted } from './redact.js';

describe('printableText', () => {
  it('is one line without terminal control sequences, and is truncated', () => {
    expect(printableText('no\u001b[2J\nFAKE\u202e\u2028\ud800 "Käse" \\')).toBe('no?[2J?FAKE??? "Käse" \\');
    expect(printableText('y'.repeat(401))).toBe(`${'y'.repeat(399)}…`);
    expect(printableText('y'.repeat(400))).toBe('y'.repeat(400));
  });

  it('leaves no half of a surrogate pair where it cuts', () => {
    expect(printableText('ab🧀', 4)).toBe('ab🧀');
    expect(printableText('a🧀b', 3)).toBe('a?…');
  });
});

describe('redacted', () => {
  it('keeps only the id of an access token', () => {
    const token = `rct_0123456789_${'a-Z_'.repeat(11)}`;
    expect(redacted(`received "${token}", ${token}.`)).toBe('received "rct_0123456789_…", rct_0123456789_….');
  });

  it.each([
    ['http://ada:geheim@h:1337/x', 'http://…@h:1337/x'],
    ['"http://ada:ge@he/im@h" and https://h', '"http://…@h" and https://h'],
    ['http://a:b@h1,http://c:d@h2', 'http://…@h2'],
    ['http://h:1337/a, ada@example.org', 'http://h:1337/a, ada@example.org'],
  ])('removes user and password: %s', (text, expected) => {
    expect(redacted(text)).toBe(expected);
  });
});
