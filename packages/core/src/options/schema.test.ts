import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import { decimal, flag, integer, list, nullable, oneOf, openEnum, text, textMap } from './kinds.js';
import { componentSchemas, MAX_FLAWS, message, optional, printed, required, withDefault } from './schema.js';

interface Wheel {
  readonly spokes: number;
}
interface Bike {
  readonly name: string;
  readonly gears: number;
  readonly wheels: readonly Wheel[];
  readonly owner: string | null;
  readonly color?: 'red' | 'blue';
  readonly tags: Readonly<Record<string, string>>;
  readonly key?: string;
}

const wheel = message<Wheel>('Wheel', 'A wheel.', { spokes: required(integer(1, 99), 'how many') });
const bike = message<Bike>(
  'Bike',
  'A bike.',
  {
    name: required(text({ max: 5, min: 1, pattern: /^[a-z]+$/, allowed: 'lower-case letters' }), 'its name'),
    gears: withDefault(integer(1, 21), 3, 'gears'),
    wheels: required(list(wheel, 1, 20), 'wheels'),
    owner: required(nullable(text({ max: 9, allowed: 'text' })), 'whose'),
    color: optional(oneOf(['red', 'blue']), 'paint'),
    tags: withDefault(textMap(3, 20), {}, 'words'),
    key: optional(text({ max: 8, allowed: 'at most 8', secret: true }), 'of its lock'),
  },
  (value, flaws) => {
    if (value.gears > value.wheels.length * 10) flaws.note(`${value.gears} gears`, 'ten per wheel');
  },
);
const good = { name: 'cargo', wheels: [{ spokes: 36 }], owner: null };
const flawsOf = (value: unknown) => {
  const read = bike.parse(value);
  return read.ok ? [] : read.problem;
};

describe('a message', () => {
  it('is read with its defaults and without unknown fields', () => {
    const read = bike.parse({ ...good, bell: true, wheels: [{ spokes: 36, rim: 'alu' }] });
    expect(read).toEqual({
      ok: true,
      value: { name: 'cargo', gears: 3, wheels: [{ spokes: 36 }], owner: null, tags: {} },
    });
  });

  it('leaves out missing optional fields', () => {
    const read = bike.parse(good);
    expect(read.ok && 'color' in read.value).toBe(false);
  });

  it('reports the path, the received and the allowed value of every flaw', () => {
    expect(flawsOf({ name: 'Cargo', gears: 0.5, wheels: [{ spokes: 1 }, { spokes: 100 }], color: 'green' })).toEqual([
      { path: 'name', received: '"Cargo"', allowed: 'lower-case letters' },
      { path: 'gears', received: '0.5', allowed: 'integer 1 … 21' },
      { path: 'wheels[1].spokes', received: '100', allowed: 'integer 1 … 99' },
      { path: 'owner', received: 'nothing', allowed: 'text, or `null`' },
      { path: 'color', received: '"green"', allowed: '`red`, `blue`' },
    ]);
  });

  it.each([null, undefined, 7, 'bike', [], true])('is not %j', (value) => {
    expect(flawsOf(value)).toEqual([{ path: '', received: printed(value), allowed: 'an object (Bike)' }]);
  });

  it('is checked as a whole once each field is valid', () => {
    expect(flawsOf({ ...good, gears: 21 })).toEqual([{ path: '', received: '21 gears', allowed: 'ten per wheel' }]);
    expect(flawsOf({ ...good, gears: 22 })).toHaveLength(1);
  });

  it('stops after ten flaws', () => {
    const wheels = Array.from({ length: 20 }, () => ({ spokes: 0 }));
    expect(flawsOf({ wheels, tags: 1, color: 1 })).toHaveLength(MAX_FLAWS);
  });

  it('never shows a secret', () => {
    const [flaw] = flawsOf({ ...good, key: 'much too long' });
    expect(flaw).toEqual({ path: 'key', received: 'a text of 13 characters', allowed: 'at most 8' });
  });

  it('implements Standard Schema', () => {
    const standard = bike['~standard'];
    expect(standard).toMatchObject({ version: 1, vendor: 'rollcall' });
    expect(standard.validate(good)).toEqual({ value: { ...good, gears: 3, tags: {} } });
    expect(standard.validate({ ...good, wheels: [{}] })).toEqual({
      issues: [{ message: 'received nothing; allowed: integer 1 … 99', path: ['wheels', 0, 'spokes'] }],
    });
  });

  it('returns its JSON Schema and those of nested messages', () => {
    expect(componentSchemas([bike])).toEqual({
      Bike: {
        type: 'object',
        description: 'A bike.',
        required: ['name', 'wheels', 'owner'],
        properties: {
          name: { type: 'string', minLength: 1, maxLength: 5, pattern: '^[a-z]+$', description: 'its name' },
          gears: { type: 'integer', minimum: 1, maximum: 21, default: 3, description: 'gears' },
          wheels: {
            type: 'array',
            items: { $ref: '#/components/schemas/Wheel' },
            minItems: 1,
            maxItems: 20,
            description: 'wheels',
          },
          owner: { type: ['string', 'null'], maxLength: 9, description: 'whose' },
          color: { type: 'string', enum: ['red', 'blue'], description: 'paint' },
          tags: {
            type: 'object',
            maxProperties: 3,
            additionalProperties: { type: 'string' },
            default: {},
            description: 'words',
          },
          key: { type: 'string', maxLength: 8, description: 'of its lock' },
        },
      },
      Wheel: {
        type: 'object',
        description: 'A wheel.',
        required: ['spokes'],
        properties: { spokes: { type: 'integer', minimum: 1, maximum: 99, description: 'how many' } },
      },
    });
  });

  it('returns the rows of its table', () => {
    expect(bike.rows.slice(0, 3)).toEqual([
      { field: 'name', allowed: 'lower-case letters', required: 'yes', about: 'its name' },
      { field: 'gears', allowed: 'integer 1 … 21', required: 'default `3`', about: 'gears' },
      { field: 'wheels', allowed: 'list of Wheel, 1 … 20', required: 'yes', about: 'wheels' },
    ]);
    expect(bike.rows.at(-1)?.required).toBe('no');
  });
});

const accepts = (kind: Parameters<typeof required>[0], value: unknown): boolean =>
  message<{ readonly it: unknown }>('It', '', { it: required(kind, '') }).parse({ it: value }).ok;

describe('a kind', () => {
  it('counts characters, not UTF-16 units', () => {
    const five = text({ max: 5, allowed: '' });
    expect(accepts(five, '🙂'.repeat(5))).toBe(true);
    expect(accepts(five, '🙂'.repeat(6))).toBe(false);
    expect(accepts(five, 'abcdef')).toBe(false);
  });

  it.each([Number.NaN, Infinity, -1, 1.5, 2 ** 53, '1', null, 1n])('integer(0) refuses %s', (value) => {
    expect(accepts(integer(0), value)).toBe(false);
  });

  it.each([Number.NaN, Infinity, -0.1, '1', null])('decimal(0) refuses %s', (value) => {
    expect(accepts(decimal(0), value)).toBe(false);
    expect(accepts(decimal(0), 0.1)).toBe(true);
  });

  it('flag accepts only booleans', () => {
    expect([true, false, 1, 'true', null].map((value) => accepts(flag(), value))).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
  });

  it('openEnum accepts only unknown values of the same form', () => {
    const kind = openEnum(['NOW']);
    expect(
      ['NOW', 'LATER', '', 'two words', 'x'.repeat(65), '\u001b[31m', 7].map((each) => accepts(kind, each)),
    ).toEqual([true, true, false, false, false, false, false]);
  });
});

const flawsOfTags = (json: string) => flawsOf({ ...good, tags: JSON.parse(json) });

describe('a map of texts', () => {
  it.each(['__proto__', 'constructor', 'prototype'])('refuses the key %s', (key) => {
    const [flaw] = flawsOfTags(`{"${key}":"x"}`);
    expect(flaw?.path).toBe(`tags.${key}`);
    expect(flawsOfTags(`{"a":{"${key}":{"polluted":"yes"}}}`)[0]).toMatchObject({ path: 'tags.a', allowed: 'a text' });
    expect('polluted' in {}).toBe(false);
  });

  it.each(['toString', 'hasOwnProperty', 'a.b', 'ключ'])('accepts the key %s', (key) => {
    const read = bike.parse({ ...good, tags: { [key]: 'x' } });
    expect(read.ok && Object.entries(read.value.tags)).toEqual([[key, 'x']]);
  });

  it('counts bytes of keys and values', () => {
    expect(flawsOf({ ...good, tags: { ab: 'é'.repeat(9) } })).toEqual([]);
    expect(flawsOf({ ...good, tags: { ab: '€'.repeat(6) } })).toEqual([]);
    expect(flawsOf({ ...good, tags: { a: '🙂🙂🙂🙂', bc: 'x' } })).toEqual([]);
    expect(flawsOf({ ...good, tags: { abc: 'é'.repeat(9) } })[0]).toMatchObject({ path: 'tags', received: '21 bytes' });
    expect(flawsOf({ ...good, tags: { a: 'x'.repeat(21) } })[0]?.path).toBe('tags.a');
  });

  it('refuses a fourth key, an empty key, a key of two lines, a lone surrogate, and a value that is not a text', () => {
    expect(flawsOf({ ...good, tags: { a: '', b: '', c: '', d: '' } })[0]?.received).toBe('an object of 4 keys');
    expect(flawsOf({ ...good, tags: { '': 'x' } })[0]?.path).toBe('tags[""]');
    expect(flawsOf({ ...good, tags: { 'a\nb': 'x' } })[0]?.path).toBe('tags["a\\u{a}b"]');
    expect(flawsOf({ ...good, tags: { a: '\ud800' } })[0]?.allowed).toBe('well-formed Unicode');
    expect(flawsOf({ ...good, tags: { a: 1 } })[0]).toEqual({ path: 'tags.a', received: '1', allowed: 'a text' });
    expect(flawsOf({ ...good, tags: ['x'] })[0]?.received).toBe('a list of 1');
  });
});

describe('the printed form of a value', () => {
  it.each([
    [undefined, 'nothing'],
    [null, 'null'],
    [-0.5, '-0.5'],
    [{ a: 1 }, 'an object'],
    [[1, 2], 'a list of 2'],
    [() => 1, 'a function'],
    ['say "hi"\\', '"say \\"hi\\"\\\\"'],
    ['\u001b[31mred\u0007', '"\\u{1b}[31mred\\u{7}"'],
    ['a\u202eb', '"a\\u{202e}b"'],
    ['\ud800', '"\\u{d800}"'],
    ['grün 🙂', '"grün 🙂"'],
    ['x'.repeat(1_000_000), `"${'x'.repeat(56)}…" (1000000 characters)`],
  ])('shows %#', (value, shown) => {
    expect(printed(value)).toBe(shown);
  });

  it('is at most 80 printable characters for any value', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary', maxLength: 300 }), fc.anything()), (value) => {
        const shown = printed(value);
        expect(shown.length).toBeLessThanOrEqual(80);
        expect(shown).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}]/u);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('hostile input', () => {
  it('yields a value or flaws for any input, and does not change it', () => {
    const before = Object.getOwnPropertyNames(Object.prototype);
    const value = fc.oneof(
      fc.anything({ withNullPrototype: true, withBigInt: true }),
      fc.record({ name: fc.anything(), wheels: fc.anything(), tags: fc.dictionary(fc.string(), fc.anything()) }),
      fc.json().map((json): unknown => JSON.parse(json)),
    );
    fc.assert(
      fc.property(value, (each) => {
        const read = bike.parse(each);
        if (!read.ok) expect(read.problem.length).toBeGreaterThan(0);
      }),
      { numRuns: 2_000 },
    );
    expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(before);
  });

  it('does not set a prototype', () => {
    const read = bike.parse(
      JSON.parse('{"name":"cargo","wheels":[{"spokes":1}],"owner":null,"__proto__":{"color":"red"}}'),
    );
    expect(read.ok && read.value.color).toBeUndefined();
    expect(read.ok && Object.getPrototypeOf(read.value)).toBe(Object.prototype);
  });
});
