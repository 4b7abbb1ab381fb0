import { RollcallError } from '../runtime/errors.js';
import type { Result } from '../runtime/errors.js';
import { redacted } from '../runtime/redact.js';
import { isRecord, printed } from './schema.js';

/** All flaws, each as one sentence. */
export type Flaws = readonly string[];

/** One option: its documentation and its validation. `Missing` is its type when it is omitted: that of the default, or undefined. */
export interface OptionSpec<Value, Missing = Value> {
  /** One sentence for docs/OPTIONS.md: the effect, with the formula if it has one. */
  readonly doc: string;
  /** The allowed values as text, with range and unit: `a whole number of ms from 1 to 60000`. */
  readonly allowed: string;
  readonly default: Missing;
  /** The nested options, for an object. */
  readonly fields?: OptionFields;
  accept(received: unknown, path: string): Result<Value, Flaws>;
}

export type OptionFields = Readonly<Record<string, OptionSpec<unknown, unknown>>>;

/** The type that `parseOptions` returns for a table of specs. */
export type OptionsOf<Fields extends OptionFields> = {
  readonly [Key in keyof Fields]: Fields[Key] extends OptionSpec<infer Value, infer Missing> ? Value | Missing : never;
};

/** A constraint between several options: null if they are valid, otherwise one sentence with the options, their values and the fix. */
export type OptionRule<Options> = (options: Options) => string | null;

/**
 * Parses the options of a user: fills in defaults, validates all values, deep-freezes the result. `undefined` counts as omitted. Rules run
 * once each option is valid by itself. Throws OPTION_INVALID with all flaws at once: for an unknown key the nearest known one, for a wrong
 * value its path, the received and the allowed value.
 */
export function parseOptions<Fields extends OptionFields>(
  fields: Fields,
  input: unknown = {},
  rules: readonly OptionRule<OptionsOf<Fields>>[] = [],
): OptionsOf<Fields> {
  const parsed = acceptFields(fields, input, '');
  const flaws = parsed.ok ? findViolations(rules, parsed.value) : parsed.problem;
  if (parsed.ok && flaws.length === 0) return parsed.value;
  throw new RollcallError('OPTION_INVALID', flaws.join('\n'));
}

/** One option as a row of docs/OPTIONS.md. */
export interface OptionRow {
  /** `calls.retry.ratio` */
  readonly name: string;
  readonly doc: string;
  readonly allowed: string;
  /** As JSON; empty if there is no default. */
  readonly default: string;
}

/** The rows of a table of options; nested options replace the row of their parent option. */
export function optionRows(fields: OptionFields, prefix = ''): readonly OptionRow[] {
  return Object.entries(fields).flatMap(([key, spec]) => {
    const name = prefix + key;
    if (spec.fields !== undefined) return optionRows(spec.fields, `${name}.`);
    return [{ name, doc: spec.doc, allowed: spec.allowed, default: JSON.stringify(spec.default) ?? '' }];
  });
}

/** Settings of every kind of option. */
export interface Described<Missing> {
  readonly doc: string;
  readonly default?: Missing;
}

/** Settings of a number option. */
export interface NumberSpec<Missing> extends Described<Missing> {
  readonly min?: number;
  readonly max?: number;
  /** `ms`, `bytes`, `intervals`: for the message and the docs. */
  readonly unit?: string;
  readonly integer?: boolean;
}

/** Settings of a string option. */
export interface StringSpec<Missing> extends Described<Missing> {
  /** Default: any string that is not empty. */
  readonly pattern?: RegExp;
  /** The meaning of the pattern as text. */
  readonly allowed?: string;
  /** The value is never shown in a message. */
  readonly secret?: boolean;
}

/** Settings of a list option. */
export interface ListSpec<Item, Missing> extends Described<Missing> {
  readonly item: OptionSpec<Item, unknown>;
  readonly min?: number;
  readonly max?: number;
}

/** The kinds of options. Without a `default`, an omitted option is undefined. */
export const option = {
  /** A finite number within `min` … `max`, both included. */
  number<const Missing extends number | undefined = undefined>(spec: NumberSpec<Missing>): OptionSpec<number, Missing> {
    const { min = -Infinity, max = Infinity, integer = false } = spec;
    const allowed = `a${integer ? ' whole' : ''} number${spec.unit === undefined ? '' : ` of ${spec.unit}`}${rangeText(min, max)}`;
    const fits = (received: unknown): received is number => {
      if (typeof received !== 'number' || !Number.isFinite(received)) return false;
      return received >= min && received <= max && (!integer || Number.isInteger(received));
    };
    return build(spec, allowed, fits);
  },

  string<const Missing extends string | undefined = undefined>(spec: StringSpec<Missing>): OptionSpec<string, Missing> {
    const { pattern = /./s } = spec;
    const allowed =
      spec.allowed ?? (spec.pattern === undefined ? 'a string that is not empty' : `a string like ${pattern.source}`);
    const matches = (received: unknown): received is string => typeof received === 'string' && pattern.test(received);
    return build(spec, allowed, matches, spec.secret === true ? () => 'a value that is not shown here' : printed);
  },

  boolean<const Missing extends boolean | undefined = undefined>(
    spec: Described<Missing>,
  ): OptionSpec<boolean, Missing> {
    return build(spec, 'true or false', (received) => typeof received === 'boolean');
  },

  oneOf<const Value extends string, const Missing extends Value | undefined = undefined>(
    values: readonly Value[],
    spec: Described<Missing>,
  ): OptionSpec<Value, Missing> {
    const allowed = `one of ${values.map((word) => printed(word)).join(', ')}`;
    return build(spec, allowed, (received): received is Value => values.some((word) => word === received));
  },

  /** A list whose items `item` validates; `min` … `max` bound its length. */
  list<Item, const Missing extends readonly Item[] | undefined = undefined>(
    spec: ListSpec<Item, Missing>,
  ): OptionSpec<readonly Item[], Missing> {
    const { min = 0, max = Infinity } = spec;
    const allowed = `a list of ${spec.item.allowed}${min === 0 && max === Infinity ? '' : `; its length${rangeText(min, max)}`}`;
    return {
      ...described(spec, allowed),
      accept(received, path) {
        const fits = Array.isArray(received) && received.length >= min && received.length <= max;
        if (!fits) return refusal(path, printed(received), allowed);
        return collect(Array.from(received, (item: unknown, index) => spec.item.accept(item, `${path}[${index}]`)));
      },
    };
  },

  /** An object with free keys, whose values `item` validates. */
  record<Item, const Missing extends Readonly<Record<string, Item>> | undefined = undefined>(
    spec: Described<Missing> & { readonly item: OptionSpec<Item, unknown> },
  ): OptionSpec<Readonly<Record<string, Item>>, Missing> {
    const allowed = `an object whose values are each ${spec.item.allowed}`;
    return {
      ...described(spec, allowed),
      accept(received, path) {
        if (!isRecord(received)) return refusal(path, printed(received), allowed);
        const keys = Object.keys(received);
        const forbidden = keys.find((key) => key in Object.prototype || key === 'prototype');
        if (forbidden !== undefined) return refusal(`${path}.${forbidden}`, 'this key', 'any other key');
        const values = collect(keys.map((key) => spec.item.accept(received[key], `${path}.${key}`)));
        if (!values.ok) return values;
        return accepted(Object.freeze(Object.fromEntries(values.value.map((value, index) => [keys[index], value]))));
      },
    };
  },

  /** Nested options. If omitted, it has all its defaults. */
  object<const Fields extends OptionFields>(
    fields: Fields,
    spec: { readonly doc: string; readonly rules?: readonly OptionRule<OptionsOf<Fields>>[] },
  ): OptionSpec<OptionsOf<Fields>> {
    return {
      doc: spec.doc,
      allowed: `an object of ${Object.keys(fields).join(', ')}`,
      default: parseOptions(fields, {}, spec.rules),
      fields,
      accept(received, path) {
        const parsed = acceptFields(fields, received, path);
        if (!parsed.ok) return parsed;
        const flaws = findViolations(spec.rules ?? [], parsed.value);
        return flaws.length === 0 ? parsed : { ok: false, problem: flaws };
      },
    };
  },

  /** Any other value (a function, a port): `is` validates it; the value is kept as it is and not frozen. */
  value<Value, Missing extends Value | undefined = undefined>(
    spec: Described<Missing> & { readonly allowed: string; readonly is: (received: unknown) => received is Value },
  ): OptionSpec<Value, Missing> {
    return build(spec, spec.allowed, spec.is);
  },
};

/** A name with more edits is not a typing error. */
const MAX_EDITS = 8;

/**
 * The candidate that was probably meant, for "did you mean": the one with the fewest typing errors (a wrong, missing,
 * extra or swapped letter; case does not matter), at most one per three letters of the word and at most eight; among
 * equals the first. Null if none is near. It compares every candidate: use it for messages, not on hot paths.
 */
export function nearest(name: string, candidates: Iterable<string>): string | null {
  const wanted = name.toLowerCase();
  let best: string | null = null;
  let max = Math.min(Math.max(1, Math.floor(wanted.length / 3)), MAX_EDITS);
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - wanted.length) > max) continue;
    const edits = editDistance(wanted, candidate.toLowerCase(), max);
    if (edits === null) continue;
    if (edits === 0) return candidate;
    [best, max] = [candidate, edits - 1];
  }
  return best;
}

/**
 * The optimal string alignment distance: Levenshtein's, where a swap of neighbours counts as one edit (Damerau 1964).
 * Null if it is more than `max`: cells farther than that from the diagonal are skipped (Ukkonen 1985), and it stops
 * once two rows exceed it.
 */
function editDistance(one: string, other: string, max: number): number | null {
  const [width, far] = [other.length, max + 1];
  let previous = new Uint8Array(width + 2).fill(far);
  let [beforePrevious, current] = [previous.slice(), previous.slice()];
  for (let column = 0; column <= Math.min(width, max); column += 1) previous[column] = column;
  let leastBefore = 0;
  for (let row = 1; row <= one.length; row += 1) {
    const [first, last] = [Math.max(1, row - max), Math.min(width, row + max)];
    let [left, least] = [Math.min(first === 1 ? row : far, far), far];
    current[first - 1] = left;
    for (let column = first; column <= last; column += 1) {
      const same = one.charCodeAt(row - 1) === other.charCodeAt(column - 1);
      let edits = (previous[column - 1] ?? far) + (same ? 0 : 1);
      edits = Math.min(edits, (previous[column] ?? far) + 1, left + 1);
      if (row > 1 && column > 1 && isSwapped(one, other, row, column))
        edits = Math.min(edits, (beforePrevious[column - 2] ?? far) + 1);
      current[column] = edits;
      left = edits;
      if (edits < least) least = edits;
    }
    current[last + 1] = far;
    if (least > max && leastBefore > max) return null;
    leastBefore = least;
    [beforePrevious, previous, current] = [previous, current, beforePrevious];
  }
  const edits = previous[width] ?? far;
  return edits > max ? null : edits;
}

function isSwapped(one: string, other: string, row: number, column: number): boolean {
  return (
    one.charCodeAt(row - 1) === other.charCodeAt(column - 2) && one.charCodeAt(row - 2) === other.charCodeAt(column - 1)
  );
}

// ---- creating a spec from a check -----------------------------------------------------------------------------------

function build<Value, Missing>(
  spec: Described<Missing>,
  allowed: string,
  fits: (received: unknown) => received is Value,
  shown: (received: unknown) => string = printed,
): OptionSpec<Value, Missing> {
  return {
    ...described(spec, allowed),
    accept: (received, path) => (fits(received) ? accepted(received) : refusal(path, shown(received), allowed)),
  };
}

/** Without a default, `Missing` is inferred as undefined, which the cast states. */
function described<Missing>(
  spec: Described<Missing>,
  allowed: string,
): Pick<OptionSpec<unknown, Missing>, 'doc' | 'allowed' | 'default'> {
  return { doc: spec.doc, allowed, default: spec.default as Missing };
}

function acceptFields<Fields extends OptionFields>(
  fields: Fields,
  received: unknown,
  path: string,
): Result<OptionsOf<Fields>, Flaws> {
  const known = Object.keys(fields);
  if (!isRecord(received)) return refusal(path, printed(received), `an object of ${known.join(', ')}`);
  const prefix = path === '' ? '' : `${path}.`;
  const unknownKeys = Object.keys(received).filter((key) => !Object.hasOwn(fields, key));
  const flaws = unknownKeys.map((key) => unknownKeyText(key, known, prefix));
  const parsed: Record<string, unknown> = {};
  for (const [key, spec] of Object.entries(fields)) {
    const value = received[key] === undefined ? spec.default : received[key];
    const result = value === undefined ? accepted(value) : spec.accept(value, prefix + key);
    if (result.ok) parsed[key] = result.value;
    else flaws.push(...result.problem);
  }
  // `parsed` has each key of `fields` and no other, with the value that its own spec accepted.
  return flaws.length === 0 ? accepted(Object.freeze(parsed) as OptionsOf<Fields>) : { ok: false, problem: flaws };
}

function collect<Value>(results: readonly Result<Value, Flaws>[]): Result<readonly Value[], Flaws> {
  const flaws = results.flatMap((result) => (result.ok ? [] : result.problem));
  if (flaws.length > 0) return { ok: false, problem: flaws };
  return accepted(Object.freeze(results.flatMap((result) => (result.ok ? [result.value] : []))));
}

function findViolations<Options>(rules: readonly OptionRule<Options>[], options: Options): Flaws {
  return rules.flatMap((rule) => rule(options) ?? []);
}

function accepted<Value>(value: Value): { readonly ok: true; readonly value: Value } {
  return { ok: true, value };
}

// ---- names ----------------------------------------------------------------------------------------------------------

function refusal(path: string, received: string, allowed: string): { readonly ok: false; readonly problem: Flaws } {
  const where = path === '' ? 'The options' : `Option ${path}`;
  return { ok: false, problem: [`${where}: received ${redacted(received)}, allowed is ${allowed}.`] };
}

function unknownKeyText(key: string, known: readonly string[], prefix: string): string {
  const meant = nearest(key, known);
  const advice =
    meant === null
      ? `Known here: ${known.map((name) => prefix + name).join(', ')}.`
      : `Did you mean ${prefix}${meant}?`;
  return `Option ${prefix}${key} does not exist. ${advice}`;
}

function rangeText(min: number, max: number): string {
  if (min === -Infinity) return max === Infinity ? '' : ` up to ${max}`;
  return max === Infinity ? ` from ${min} up` : ` from ${min} to ${max}`;
}
