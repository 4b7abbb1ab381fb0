import type { JsonSchema, Kind } from './schema.js';
import { Flaws, isRecord } from './schema.js';

/** Constraints of a text. */
export interface TextRule {
  /** The length in characters; `min` defaults to 0. */
  readonly max: number;
  readonly min?: number;
  readonly pattern?: RegExp;
  /** A condition that a pattern cannot express. */
  readonly accepts?: (text: string) => boolean;
  readonly allowed: string;
  /** A secret: a flaw shows only its length. */
  readonly secret?: boolean;
}

/** A text. Its length is checked first, so that no pattern runs on a long text. */
export function text(rule: TextRule): Kind<string> {
  const { min = 0, max, pattern, accepts, allowed } = rule;
  const length = { ...(min > 0 ? { minLength: min } : {}), maxLength: max };
  return {
    allowed,
    jsonSchema: { type: 'string', ...length, ...(pattern === undefined ? {} : { pattern: pattern.source }) },
    parts: [],
    read(value, flaws) {
      if (typeof value !== 'string') return flaws.add(value, allowed);
      const fits = value.length >= min && !isLonger(value, max);
      if (fits && (pattern?.test(value) ?? true) && (accepts?.(value) ?? true)) return value;
      return rule.secret === true
        ? flaws.note(`a text of ${value.length} characters`, allowed)
        : flaws.add(value, allowed);
    },
  };
}

/** A safe integer from `min` to `max`, both included. */
export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER): Kind<number> {
  const allowed = max === Number.MAX_SAFE_INTEGER ? `integer from ${min}` : `integer ${min} … ${max}`;
  return number({ min, max, allowed, type: 'integer', fits: Number.isSafeInteger });
}

/** A finite number from `min` to `max`, both included. */
export function decimal(min: number, max: number = Number.MAX_VALUE): Kind<number> {
  const allowed = max === Number.MAX_VALUE ? `number from ${min}` : `number ${min} … ${max}`;
  return number({ min, max, allowed, type: 'number', fits: Number.isFinite });
}

interface NumberRule {
  readonly min: number;
  readonly max: number;
  readonly allowed: string;
  readonly type: 'integer' | 'number';
  readonly fits: (value: number) => boolean;
}

function number({ min, max, allowed, type, fits }: NumberRule): Kind<number> {
  const ceiling = max >= Number.MAX_SAFE_INTEGER ? {} : { maximum: max };
  return {
    allowed,
    jsonSchema: { type, minimum: min, ...ceiling },
    parts: [],
    read(value, flaws) {
      if (typeof value === 'number' && fits(value) && value >= min && value <= max) return value;
      return flaws.add(value, allowed);
    },
  };
}

/** `true` or `false`. */
export function flag(): Kind<boolean> {
  return {
    allowed: '`true` or `false`',
    jsonSchema: { type: 'boolean' },
    parts: [],
    read: (value, flaws) => (typeof value === 'boolean' ? value : flaws.add(value, '`true` or `false`')),
  };
}

/** One of these values. */
export function oneOf<Value extends string>(values: readonly Value[]): Kind<Value> {
  const allowed = values.map((word) => `\`${word}\``).join(', ');
  return {
    allowed,
    jsonSchema: { type: 'string', enum: values },
    parts: [],
    read: (value, flaws) => values.find((word) => word === value) ?? flaws.add(value, allowed),
  };
}

/**
 * One of these values, or one of a newer registry, which a reader must accept: rejecting it would lose the whole frame. Compare with the
 * values you know, and handle unknown ones.
 */
export function openEnum<Value extends string>(values: readonly Value[]): Kind<Value> {
  const allowed = `${values.map((word) => `\`${word}\``).join(', ')}; others may come`;
  return {
    allowed,
    jsonSchema: { type: 'string', examples: values },
    parts: [],
    read(value, flaws) {
      if (typeof value === 'string' && /^[A-Za-z0-9_.-]{1,64}$/.test(value)) return value as Value;
      return flaws.add(value, allowed);
    },
  };
}

/** The kind, or null. */
export function nullable<Value>(kind: Kind<Value>): Kind<Value | null> {
  const { type } = kind.jsonSchema;
  const jsonSchema: JsonSchema =
    typeof type === 'string' && !('enum' in kind.jsonSchema)
      ? { ...kind.jsonSchema, type: [type, 'null'] }
      : { anyOf: [kind.jsonSchema, { type: 'null' }] };
  const allowed = `${kind.allowed}, or \`null\``;
  return {
    allowed,
    jsonSchema,
    parts: kind.parts,
    read(value, flaws) {
      if (value === null) return null;
      return value === undefined ? flaws.add(value, allowed) : kind.read(value, flaws);
    },
  };
}

/** A list of `min` to `max` items; a longer one is rejected unread. */
export function list<Item>(kind: Kind<Item>, min: number, max: number): Kind<readonly Item[]> {
  const allowed = `list of ${kind.allowed}, ${min} … ${max}`;
  return {
    allowed,
    jsonSchema: { type: 'array', items: kind.jsonSchema, minItems: min, maxItems: max },
    parts: kind.parts,
    read(value, flaws) {
      if (!Array.isArray(value) || value.length < min || value.length > max) return flaws.add(value, allowed);
      const before = flaws.count;
      const items: Item[] = [];
      for (let at = 0; at < value.length && !flaws.full; at += 1) {
        const since = flaws.count;
        const item = kind.read(value[at], flaws);
        if (item === undefined) flaws.under(at, since);
        else items.push(item);
      }
      return flaws.count > before ? undefined : items;
    },
  };
}

/** The valid items of a list: invalid items are dropped, as are items after `max` valid ones. Use it for optional data only. */
export function validItemsOf<Item>(kind: Kind<Item>, max: number): Kind<readonly Item[]> {
  return {
    allowed: `list of ${kind.allowed}, 0 … ${max}; invalid items are dropped`,
    jsonSchema: { type: 'array', items: kind.jsonSchema, maxItems: max },
    parts: kind.parts,
    read(value) {
      const items: Item[] = [];
      if (!Array.isArray(value)) return items;
      for (let at = 0; at < value.length && items.length < max; at += 1) {
        const item = kind.read(value[at], new Flaws());
        if (item !== undefined) items.push(item);
      }
      return items;
    },
  };
}

/** Keys that modify prototypes if code merges the object carelessly. */
export const UNSAFE_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);
export const UNSAFE_KEYS_TEXT = [...UNSAFE_KEYS].map((key) => `\`${key}\``).join(', ');
/** One line: no control characters, no lone surrogates. */
export const ONE_LINE = /^[^\p{Cc}\p{Cs}]*$/u;

/** Texts by key; `maxBytes` is the UTF-8 length of all keys and values. Values are texts, so the object has no depth. */
export function textMap(maxKeys: number, maxBytes: number): Kind<Readonly<Record<string, string>>> {
  const allowed = `object of texts: at most ${maxKeys} keys, ${maxBytes} bytes of UTF-8 in all; no key ${UNSAFE_KEYS_TEXT}`;
  return {
    allowed,
    jsonSchema: { type: 'object', maxProperties: maxKeys, additionalProperties: { type: 'string' } },
    parts: [],
    read(value, flaws) {
      if (!isRecord(value)) return flaws.add(value, allowed);
      const keys = Object.keys(value);
      if (keys.length > maxKeys) return flaws.note(`an object of ${keys.length} keys`, allowed);
      const before = flaws.count;
      const copy: Record<string, string> = {};
      let bytes = 0;
      for (const key of keys) {
        const item = textOf(key, value[key], maxBytes, flaws);
        if (item === undefined) continue;
        copy[key] = item;
        bytes += utf8Length(key) + utf8Length(item);
      }
      if (bytes > maxBytes) return flaws.note(`${bytes} bytes`, allowed);
      return flaws.count > before ? undefined : copy;
    },
  };
}

function textOf(key: string, value: unknown, maxBytes: number, flaws: Flaws): string | undefined {
  const since = flaws.count;
  if (UNSAFE_KEYS.has(key)) flaws.note('this key', `any key but ${UNSAFE_KEYS_TEXT}`);
  else if (key === '' || key.length > maxBytes || !ONE_LINE.test(key))
    flaws.note('this key', 'a key of one line, not empty');
  else if (typeof value !== 'string') flaws.add(value, 'a text');
  else if (value.length > maxBytes) flaws.add(value, `at most ${maxBytes} bytes`);
  else if (/\p{Cs}/u.test(value)) flaws.add(value, 'well-formed Unicode');
  else return value;
  flaws.under(key, since);
  return undefined;
}

/** The length of a well-formed text in UTF-8 bytes. */
export function utf8Length(value: string): number {
  let bytes = 0;
  for (let at = 0; at < value.length; at += 1) {
    const unit = value.charCodeAt(at);
    if (unit < 0x80) bytes += 1;
    else if (unit < 0x800 || (unit & 0xf800) === 0xd800) bytes += 2;
    else bytes += 3;
  }
  return bytes;
}

/** True if it has more than `max` characters (code points). Counts them only if the UTF-16 length leaves it open. */
function isLonger(value: string, max: number): boolean {
  if (value.length <= max) return false;
  return value.length > 2 * max || Array.from(value).length > max;
}
