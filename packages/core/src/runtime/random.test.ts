import { describe, expect, it } from 'vitest';
import { seededRandom } from '../testing.js';
import { randomWord, systemRandom, uuidV7 } from './random.js';

describe('systemRandom', () => {
  it('returns numbers from 0 to under 1', () => {
    const numbers = Array.from({ length: 1_000 }, () => systemRandom.unit());
    expect(numbers.every((number) => number >= 0 && number < 1)).toBe(true);
    expect(new Set(numbers).size).toBeGreaterThan(990);
  });

  it('returns the requested number of bytes, different ones each time', () => {
    expect(systemRandom.bytes(0)).toHaveLength(0);
    expect(systemRandom.bytes(32)).toHaveLength(32);
    expect(systemRandom.bytes(32)).not.toEqual(systemRandom.bytes(32));
  });
});

describe('randomWord', () => {
  it('has the requested length and only characters that need no escaping', () => {
    expect(randomWord(systemRandom, 22)).toMatch(/^[A-Za-z0-9_-]{22}$/);
    expect(randomWord(systemRandom, 0)).toBe('');
  });

  it('uses each of the 64 characters equally often', () => {
    const counts = new Map<string, number>();
    for (const letter of randomWord(seededRandom(1), 64_000)) counts.set(letter, (counts.get(letter) ?? 0) + 1);
    expect(counts.size).toBe(64);
    expect(Math.min(...counts.values())).toBeGreaterThan(800);
    expect(Math.max(...counts.values())).toBeLessThan(1_200);
  });
});

describe('uuidV7', () => {
  it('reproduces the example of RFC 9562, appendix A.6', () => {
    const bytes = Uint8Array.from('000000000000ffc318c4dc0c0c07398f'.match(/../g)!, (pair) =>
      Number.parseInt(pair, 16),
    );
    bytes[6] = 0x0c;
    const random = { unit: () => 0, bytes: () => bytes };
    expect(uuidV7(random, 0x017f22e279b0)).toBe('017f22e2-79b0-7cc3-98c4-dc0c0c07398f');
  });

  it('keeps version and variant for any random bytes', () => {
    for (const byte of [0x00, 0xff]) {
      const random = { unit: () => 0, bytes: (length: number) => new Uint8Array(length).fill(byte) };
      expect(uuidV7(random, 1.9)).toMatch(/^00000000-0001-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    }
  });

  it('sorts by time of creation', () => {
    const random = seededRandom(7);
    const births = [0, 1, 255, 256, 2 ** 32 - 1, 2 ** 32, 1_790_000_000_000, 2 ** 48 - 1];
    const ids = births.map((wallMs) => uuidV7(random, wallMs));
    expect(ids.toSorted()).toEqual(ids);
  });

  it('differs between processes of the same millisecond', () => {
    const ids = Array.from({ length: 1_000 }, () => uuidV7(systemRandom, 1_790_000_000_000));
    expect(new Set(ids).size).toBe(1_000);
  });
});
