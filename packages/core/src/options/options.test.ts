import { describe, expect, it } from 'vitest';
import { isRollcallError } from '../runtime/errors.js';
import { nearest, option, parseOptions } from './options.js';
import type { OptionFields } from './options.js';

const fields = {
  deadlineMs: option.number({ default: 5_000, min: 1, max: 600_000, unit: 'ms', integer: true, doc: 'Longest call.' }),
  attempts: option.number({ default: 3, min: 1, integer: true, doc: 'Tries of one call.' }),
  service: option.string({ pattern: /^[a-z0-9-]{1,63}$/, allowed: 'a DNS label', doc: 'Own name.' }),
  token: option.string({ secret: true, pattern: /^.{22,}$/, allowed: 'at least 22 characters', doc: 'Access.' }),
  picker: option.oneOf(['p2c', 'random'], { default: 'p2c', doc: 'How to choose.' }),
  register: option.boolean({ default: true, doc: 'Register at start.' }),
  registries: option.list({ item: option.string({ doc: 'A URL.' }), max: 3, default: [], doc: 'Replicas.' }),
  metadata: option.record({ item: option.string({ doc: 'A word.' }), default: {}, doc: 'Free words.' }),
  onChange: option.value({
    allowed: 'a function',
    is: (received): received is () => void => typeof received === 'function',
    doc: 'Called on changes.',
  }),
  retry: option.object(
    {
      baseMs: option.number({ default: 25, min: 0, unit: 'ms', doc: 'First wait.' }),
      capMs: option.number({ default: 250, min: 0, unit: 'ms', doc: 'Longest wait.' }),
    },
    {
      doc: 'Waits between attempts.',
      rules: [
        ({ baseMs, capMs }) =>
          baseMs <= capMs
            ? null
            : `retry.baseMs (${baseMs}) is above retry.capMs (${capMs}): lower it, or raise the cap.`,
      ],
    },
  ),
} as const;

const onChange = (): void => {};

const registersToRetry = ({ attempts, register }: { attempts: number; register: boolean }): string | null =>
  attempts > 1 && !register ? 'attempts above 1 need register.' : null;

const problem = (input: unknown, table: OptionFields = fields): string => {
  try {
    parseOptions(table, input);
  } catch (error) {
    if (isRollcallError(error) && error.code === 'OPTION_INVALID') return error.message;
    throw error;
  }
  return 'accepted';
};

describe('parseOptions', () => {
  it('fills in the defaults, of nested options too', () => {
    expect(parseOptions(fields)).toEqual({
      deadlineMs: 5_000,
      attempts: 3,
      service: undefined,
      token: undefined,
      picker: 'p2c',
      register: true,
      registries: [],
      metadata: {},
      onChange: undefined,
      retry: { baseMs: 25, capMs: 250 },
    });
  });

  it('keeps the given values and fills in the others', () => {
    const options = parseOptions(fields, {
      deadlineMs: 1,
      service: 'orders',
      registries: ['http://a'],
      metadata: { team: 'x' },
      retry: { capMs: 30 },
      onChange,
    });
    expect(options).toMatchObject({ deadlineMs: 1, attempts: 3, service: 'orders', registries: ['http://a'] });
    expect(options).toMatchObject({ metadata: { team: 'x' }, retry: { baseMs: 25, capMs: 30 }, onChange });
  });

  it('treats undefined as omitted', () => {
    expect(parseOptions(fields, { deadlineMs: undefined, retry: undefined })).toEqual(parseOptions(fields));
  });

  it('deep-freezes the result and does not keep the caller’s lists', () => {
    const registries = ['http://a'];
    const options = parseOptions(fields, { registries, metadata: { team: 'x' }, retry: {} });
    registries.push('http://b');
    expect(options.registries).toEqual(['http://a']);
    expect([options, options.registries, options.metadata, options.retry].every((part) => Object.isFrozen(part))).toBe(
      true,
    );
  });

  it('freezes its defaults too', () => {
    const options = parseOptions(fields);
    expect([options.registries, options.metadata, options.retry].every((part) => Object.isFrozen(part))).toBe(true);
  });

  it('infers the type of the result', () => {
    const options = parseOptions(fields);
    const deadlineMs: number = options.deadlineMs;
    const picker: 'p2c' | 'random' = options.picker;
    const capMs: number = options.retry.capMs;
    // @ts-expect-error: without a default it may be undefined
    const service: string = options.service;
    // @ts-expect-error: the result is read-only
    const write = (): number => (options.deadlineMs = 1);
    expect([deadlineMs, picker, capMs, service]).toEqual([5_000, 'p2c', 250, undefined]);
    expect(write).toThrow(TypeError);
  });

  it('names the nearest option for an unknown one, at its path', () => {
    expect(problem({ deadlinMs: 1 })).toBe('Option deadlinMs does not exist. Did you mean deadlineMs?');
    expect(problem({ retry: { capsMs: 1 } })).toBe('Option retry.capsMs does not exist. Did you mean retry.capMs?');
  });

  it('lists the known options if none is near', () => {
    expect(problem({ retry: { colour: 1 } })).toBe(
      'Option retry.colour does not exist. Known here: retry.baseMs, retry.capMs.',
    );
  });

  it('does not accept names that every object has', () => {
    expect(problem({ toString: 1 })).toContain('Option toString does not exist.');
    expect(problem(JSON.parse('{"__proto__": {"deadlineMs": 1}}'))).toContain('Option __proto__ does not exist.');
  });

  it.each([
    [{ deadlineMs: 0 }, 'Option deadlineMs: received 0, allowed is a whole number of ms from 1 to 600000.'],
    [{ deadlineMs: 1.5 }, 'Option deadlineMs: received 1.5, allowed is a whole number of ms from 1 to 600000.'],
    [{ deadlineMs: '5s' }, 'Option deadlineMs: received "5s", allowed is a whole number of ms from 1 to 600000.'],
    [{ attempts: Number.NaN }, 'Option attempts: received NaN, allowed is a whole number from 1 up.'],
    [{ attempts: Infinity }, 'Option attempts: received Infinity, allowed is a whole number from 1 up.'],
    [{ attempts: null }, 'Option attempts: received null, allowed is a whole number from 1 up.'],
    [{ service: 'Orders!' }, 'Option service: received "Orders!", allowed is a DNS label.'],
    [{ service: 'evil\u001b[2J' }, 'Option service: received "evil\\u{1b}[2J", allowed is a DNS label.'],
    [{ picker: 'best' }, 'Option picker: received "best", allowed is one of "p2c", "random".'],
    [{ register: 'yes' }, 'Option register: received "yes", allowed is true or false.'],
    [
      { registries: 'http://a' },
      'Option registries: received "http://a", allowed is a list of a string that is not empty; its length from 0 to 3.',
    ],
    [{ registries: ['a', ''] }, 'Option registries[1]: received "", allowed is a string that is not empty.'],
    [{ registries: [undefined] }, 'Option registries[0]: received nothing, allowed is a string that is not empty.'],
    [
      { registries: ['a', 'b', 'c', 'd'] },
      'Option registries: received a list of 4, allowed is a list of a string that is not empty; its length from 0 to 3.',
    ],
    [
      { metadata: [] },
      'Option metadata: received a list of 0, allowed is an object whose values are each a string that is not empty.',
    ],
    [{ metadata: { team: 7 } }, 'Option metadata.team: received 7, allowed is a string that is not empty.'],
    [{ metadata: { constructor: 'x' } }, 'Option metadata.constructor: received this key, allowed is any other key.'],
    [{ onChange: {} }, 'Option onChange: received an object, allowed is a function.'],
    [{ retry: () => {} }, 'Option retry: received a function, allowed is an object of baseMs, capMs.'],
    [{ retry: null }, 'Option retry: received null, allowed is an object of baseMs, capMs.'],
  ])('refuses %o', (input, message) => {
    expect(problem(input)).toBe(message);
  });

  it.each([null, 7, [], 'x'])('refuses %o in place of the options', (input) => {
    expect(problem(input, { a: option.boolean({ doc: '' }) })).toMatch(
      /^The options: received .*, allowed is an object of a\.$/,
    );
  });

  it('does not show a secret', () => {
    const message = problem({ token: 'hunter2' });
    expect(message).toBe('Option token: received a value that is not shown here, allowed is at least 22 characters.');
  });

  it('reports all flaws at once', () => {
    const message = problem({ deadlineMs: 0, attemps: 2, retry: { baseMs: -1 } });
    expect(message.split('\n')).toHaveLength(3);
  });

  it('evaluates the rules once each option is valid', () => {
    expect(problem({ retry: { baseMs: 300 } })).toBe(
      'retry.baseMs (300) is above retry.capMs (250): lower it, or raise the cap.',
    );
    expect(problem({ retry: { baseMs: 300, capMs: 'x' } })).toBe(
      'Option retry.capMs: received "x", allowed is a number of ms from 0 up.',
    );
  });

  it('evaluates the rules over all options', () => {
    expect(parseOptions(fields, { attempts: 2 }, [registersToRetry]).attempts).toBe(2);
    expect(() => parseOptions(fields, { attempts: 2, register: false }, [registersToRetry])).toThrow(
      'attempts above 1 need register.',
    );
  });

  it('keeps the row of each option for docs/OPTIONS.md', () => {
    const { deadlineMs, retry } = fields;
    expect(deadlineMs).toMatchObject({ doc: 'Longest call.', default: 5_000 });
    expect(deadlineMs.allowed).toBe('a whole number of ms from 1 to 600000');
    expect(Object.keys(retry.fields ?? {})).toEqual(['baseMs', 'capMs']);
  });
});

describe('nearest', () => {
  const services = ['orders', 'order-items', 'users', 'mail'];

  it.each([
    ['order', 'orders'],
    ['ordres', 'orders'],
    ['Orders', 'orders'],
    ['oders', 'orders'],
    ['orderitems', 'order-items'],
    ['mial', 'mail'],
  ])('resolves %s to %s', (name, meant) => {
    expect(nearest(name, services)).toBe(meant);
  });

  it.each(['billing', 'user-profiles', '', 'xail2'])('finds no candidate near %o', (name) => {
    expect(nearest(name, services)).toBeNull();
  });

  it('returns the nearest, the first of equals', () => {
    expect(nearest('cat', ['bat', 'cats', 'cat'])).toBe('cat');
    expect(nearest('cat', ['bat', 'hat'])).toBe('bat');
    expect(nearest('cat', [])).toBeNull();
    expect(nearest('fab', ['fbc'])).toBeNull();
  });

  it('accepts at most eight typing errors, for a name of any length', () => {
    const name = 'o'.repeat(63);
    expect(nearest(name, [`${'x'.repeat(8)}${name.slice(8)}`])).not.toBeNull();
    expect(nearest(name, [`${'x'.repeat(9)}${name.slice(9)}`])).toBeNull();
    expect(nearest(`ab${name}`, [`ba${name}`])).toBe(`ba${name}`);
    expect(nearest(name, [name.slice(8)])).toBe(name.slice(8));
    expect(nearest(name, [name.slice(9)])).toBeNull();
  });
});
