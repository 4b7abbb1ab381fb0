import { RollcallError } from '../runtime/errors.js';
import type { Result } from '../runtime/errors.js';
import { redacted } from '../runtime/redact.js';
import { isRecord, printed } from './schema.js';

/** Everything that is wrong, each in one sentence. */
export type Flaws = readonly string[];

/** What is known about one option. `Missing` is its type when it was left out: that of the default, or undefined. */
export interface OptionSpec<Value, Missing = Value> {
  /** One sentence for docs/OPTIONS.md: what it does, and its formula if it has one. */
  readonly doc: string;
  /** In words, with range and unit: `a whole number of ms from 1 to 60000`. */
  readonly allowed: string;
  readonly default: Missing;
  /** The options inside, for a nested object. */
  readonly fields?: OptionFields;
  accept(received: unknown, path: string): Result<Value, Flaws>;
}

export type OptionFields = Readonly<Record<string, OptionSpec<unknown, unknown>>>;

/** What `parseOptions` makes of a table of specs. */
export type OptionsOf<Fields extends OptionFields> = {
  readonly [Key in keyof Fields]: Fields[Key] extends OptionSpec<infer Value, infer Missing> ? Value | Missing : never;
};

/** Ties several options together: null when they fit, else one sentence that names them, their values and what to change. */
export type OptionLaw<Options> = (options: Options) => string | null;

/**
 * Options are parsed once, where they come in: defaults filled in, everything checked, the result frozen to the bottom.
 * `undefined` is the same as left out. Laws are asked once each option is right by itself.
 * Throws OPTION_INVALID that names all flaws at once: for an unknown key the nearest known one, for a wrong value its path,
 * what was received and what is allowed.
 */
export function parseOptions<Fields extends OptionFields>(
  fields: Fields,
  input: unknown = {},
  laws: readonly OptionLaw<OptionsOf<Fields>>[] = [],
): OptionsOf<Fields> {
  const parsed = acceptFields(fields, input, '');
  const flaws = parsed.ok ? broken(laws, parsed.value) : parsed.problem;
  if (parsed.ok && flaws.length === 0) return parsed.value;
  throw new RollcallError('OPTION_INVALID', flaws.join('\n'));
}

/** One option as docs/OPTIONS.md shows it. */
export interface OptionRow {
  /** `calls.retry.ratio` */
  readonly name: string;
  readonly doc: string;
  readonly allowed: string;
  /** As JSON; empty where there is none. */
  readonly default: string;
}

/** The rows of a table of options, those inside others behind them. */
export function optionRows(fields: OptionFields, prefix = ''): readonly OptionRow[] {
  return Object.entries(fields).flatMap(([key, spec]) => {
    const name = prefix + key;
    if (spec.fields !== undefined) return optionRows(spec.fields, `${name}.`);
    return [{ name, doc: spec.doc, allowed: spec.allowed, default: JSON.stringify(spec.default) ?? '' }];
  });
}

/** What every option may say of itself. */
export interface Described<Missing> {
  readonly doc: string;
  readonly default?: Missing;
}

/** What an option that is a number may say of itself. */
export interface NumberSpec<Missing> extends Described<Missing> {
  readonly min?: number;
  readonly max?: number;
  /** `ms`, `bytes`, `intervals`: for the message and the docs. */
  readonly unit?: string;
  readonly integer?: boolean;
}

/** What an option that is a text may say of itself. */
export interface StringSpec<Missing> extends Described<Missing> {
  /** Default: any string but the empty one. */
  readonly pattern?: RegExp;
  /** In words, what the pattern means. */
  readonly allowed?: string;
  /** Never shown in a message. */
  readonly secret?: boolean;
}

/** What an option that is a list may say of itself. */
export interface ListSpec<Item, Missing> extends Described<Missing> {
  readonly item: OptionSpec<Item, unknown>;
  readonly min?: number;
  readonly max?: number;
}

/** The kinds of options. Without a `default` an option that was left out is undefined. */
export const option = {
  /** Finite, within `min` … `max`, both included. */
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

  oneOf<const Word extends string, const Missing extends Word | undefined = undefined>(
    words: readonly Word[],
    spec: Described<Missing>,
  ): OptionSpec<Word, Missing> {
    const allowed = `one of ${words.map((word) => printed(word)).join(', ')}`;
    return build(spec, allowed, (received): received is Word => words.some((word) => word === received));
  },

  /** Each item is checked by `item`; `min` … `max` bound their count. */
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
        return gather(Array.from(received, (item: unknown, index) => spec.item.accept(item, `${path}[${index}]`)));
      },
    };
  },

  /** Free keys, values checked by `item`. */
  record<Item, const Missing extends Readonly<Record<string, Item>> | undefined = undefined>(
    spec: Described<Missing> & { readonly item: OptionSpec<Item, unknown> },
  ): OptionSpec<Readonly<Record<string, Item>>, Missing> {
    const allowed = `an object whose values are each ${spec.item.allowed}`;
    return {
      ...described(spec, allowed),
      accept(received, path) {
        if (!isRecord(received)) return refusal(path, printed(received), allowed);
        const keys = Object.keys(received);
        const evil = keys.find((key) => key in Object.prototype || key === 'prototype');
        if (evil !== undefined) return refusal(`${path}.${evil}`, 'this key', 'any other key');
        const values = gather(keys.map((key) => spec.item.accept(received[key], `${path}.${key}`)));
        if (!values.ok) return values;
        return accepted(Object.freeze(Object.fromEntries(values.value.map((value, index) => [keys[index], value]))));
      },
    };
  },

  /** Options inside an option. Left out, it is all its defaults. */
  object<const Fields extends OptionFields>(
    fields: Fields,
    spec: { readonly doc: string; readonly laws?: readonly OptionLaw<OptionsOf<Fields>>[] },
  ): OptionSpec<OptionsOf<Fields>> {
    return {
      doc: spec.doc,
      allowed: `an object of ${Object.keys(fields).join(', ')}`,
      default: parseOptions(fields, {}, spec.laws),
      fields,
      accept(received, path) {
        const parsed = acceptFields(fields, received, path);
        if (!parsed.ok) return parsed;
        const flaws = broken(spec.laws ?? [], parsed.value);
        return flaws.length === 0 ? parsed : { ok: false, problem: flaws };
      },
    };
  },

  /** Anything else (a function, a port): `is` decides, the value is kept as it is and not frozen. */
  value<Value, Missing extends Value | undefined = undefined>(
    spec: Described<Missing> & { readonly allowed: string; readonly is: (received: unknown) => received is Value },
  ): OptionSpec<Value, Missing> {
    return build(spec, spec.allowed, spec.is);
  },
};

/** More in a word than these are no slips of typing. */
const MOST_SLIPS = 8;

/**
 * The candidate that was probably meant, for "did you mean": the fewest slips of typing (a wrong, missing, extra or swapped
 * letter; case does not matter), at most one for every three letters of the word, and at most eight; of equals the first. Null when none
 * is near. It looks at every candidate: for messages, not for hot paths.
 */
export function nearest(word: string, candidates: Iterable<string>): string | null {
  const wanted = word.toLowerCase();
  let best: string | null = null;
  let most = Math.min(Math.max(1, Math.floor(wanted.length / 3)), MOST_SLIPS);
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - wanted.length) > most) continue;
    const slips = slipsBetween(wanted, candidate.toLowerCase(), most);
    if (slips === null) continue;
    if (slips === 0) return candidate;
    [best, most] = [candidate, slips - 1];
  }
  return best;
}

/**
 * Optimal string alignment distance: Levenshtein's, and a swap of neighbours counts as one (Damerau 1964). Null when it is more than
 * `most`: cells farther than that from the diagonal do not count (Ukkonen 1985), and it stops when two rows have nothing else.
 */
function slipsBetween(one: string, other: string, most: number): number | null {
  const [width, far] = [other.length, most + 1];
  let previous = new Uint8Array(width + 2).fill(far);
  let [beforePrevious, current] = [previous.slice(), previous.slice()];
  for (let column = 0; column <= Math.min(width, most); column += 1) previous[column] = column;
  let leastBefore = 0;
  for (let row = 1; row <= one.length; row += 1) {
    const [first, last] = [Math.max(1, row - most), Math.min(width, row + most)];
    let [left, least] = [Math.min(first === 1 ? row : far, far), far];
    current[first - 1] = left;
    for (let column = first; column <= last; column += 1) {
      const same = one.charCodeAt(row - 1) === other.charCodeAt(column - 1);
      let slips = (previous[column - 1] ?? far) + (same ? 0 : 1);
      slips = Math.min(slips, (previous[column] ?? far) + 1, left + 1);
      if (row > 1 && column > 1 && isSwapped(one, other, row, column))
        slips = Math.min(slips, (beforePrevious[column - 2] ?? far) + 1);
      current[column] = slips;
      left = slips;
      if (slips < least) least = slips;
    }
    current[last + 1] = far;
    if (least > most && leastBefore > most) return null;
    leastBefore = least;
    [beforePrevious, previous, current] = [previous, current, beforePrevious];
  }
  const slips = previous[width] ?? far;
  return slips > most ? null : slips;
}

function isSwapped(one: string, other: string, row: number, column: number): boolean {
  return (
    one.charCodeAt(row - 1) === other.charCodeAt(column - 2) && one.charCodeAt(row - 2) === other.charCodeAt(column - 1)
  );
}

// ---- how a spec is made of a check ----------------------------------------------------------------------------------

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

/** Where there is no default, `Missing` was inferred as undefined: the cast says just that. */
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
  const strangers = Object.keys(received).filter((key) => !Object.hasOwn(fields, key));
  const flaws = strangers.map((key) => strangerText(key, known, prefix));
  const parsed: Record<string, unknown> = {};
  for (const [key, spec] of Object.entries(fields)) {
    const value = received[key] === undefined ? spec.default : received[key];
    const result = value === undefined ? accepted(value) : spec.accept(value, prefix + key);
    if (result.ok) parsed[key] = result.value;
    else flaws.push(...result.problem);
  }
  // Each key of `fields`, and no other, has been given what its own spec accepted.
  return flaws.length === 0 ? accepted(Object.freeze(parsed) as OptionsOf<Fields>) : { ok: false, problem: flaws };
}

function gather<Value>(results: readonly Result<Value, Flaws>[]): Result<readonly Value[], Flaws> {
  const flaws = results.flatMap((result) => (result.ok ? [] : result.problem));
  if (flaws.length > 0) return { ok: false, problem: flaws };
  return accepted(Object.freeze(results.flatMap((result) => (result.ok ? [result.value] : []))));
}

function broken<Options>(laws: readonly OptionLaw<Options>[], options: Options): Flaws {
  return laws.flatMap((law) => law(options) ?? []);
}

function accepted<Value>(value: Value): { readonly ok: true; readonly value: Value } {
  return { ok: true, value };
}

// ---- words ----------------------------------------------------------------------------------------------------------

function refusal(path: string, received: string, allowed: string): { readonly ok: false; readonly problem: Flaws } {
  const where = path === '' ? 'The options' : `Option ${path}`;
  return { ok: false, problem: [`${where}: received ${redacted(received)}, allowed is ${allowed}.`] };
}

function strangerText(key: string, known: readonly string[], prefix: string): string {
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
