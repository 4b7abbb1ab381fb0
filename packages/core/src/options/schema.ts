import type { Result } from '../runtime/errors.js';
import { UNPRINTABLE } from '../runtime/redact.js';

/** One flaw of a message: its path, the received value and the allowed ones. */
export interface Flaw {
  /** `endpoints[0].port`; empty for the whole message. */
  readonly path: string;
  /** The received value, shortened and printable. */
  readonly received: string;
  readonly allowed: string;
}

/** JSON Schema 2020-12, the dialect of OpenAPI 3.1. */
export type JsonSchema = { readonly [keyword: string]: unknown };

/** Validation of a message stops at this many flaws. */
export const MAX_FLAWS = 10;
/** The maximum length of `received`, and of a key in a path, in characters. */
const MAX_PRINTED = 80;

/** A kind of value. `read` copies only known fields, so that no unexpected field is kept and every copy has the same shape. */
export interface Kind<Value> {
  /** The allowed values as text, for flaws and docs: `integer 1 … 65535`. */
  readonly allowed: string;
  readonly jsonSchema: JsonSchema;
  /** The messages that this kind refers to. */
  readonly parts: readonly AnyMessage[];
  /** The value, or undefined if it is not allowed; then it has added to `flaws`. */
  readonly read: (value: unknown, flaws: Flaws) => Value | undefined;
}

/** One field of a message. A missing field is a flaw, or is left out, or becomes `fallback`. */
export interface Field<Value, Optional extends boolean = boolean> {
  readonly kind: Kind<Value>;
  readonly about: string;
  readonly optional: Optional;
  readonly fallback?: Value;
}

/** A field for each property; only a property that is optional in the type may be optional in the table. */
export type Fields<Value> = {
  readonly [Name in keyof Value]-?: Partial<Pick<Value, Name>> extends Pick<Value, Name>
    ? Field<Exclude<Value[Name], undefined>>
    : Field<Value[Name], false>;
};

/** A row of the table of one message in the docs. */
export interface Row {
  readonly field: string;
  readonly allowed: string;
  /** `yes`, `no`, or its value if missing: `default 100`. */
  readonly required: string;
  readonly about: string;
}

/** The properties of a Standard Schema v1, https://standardschema.dev. */
export interface StandardProps<Value> {
  readonly version: 1;
  readonly vendor: 'rollcall';
  readonly validate: (value: unknown) => { readonly value: Value } | { readonly issues: readonly StandardIssue[] };
  readonly types?: { readonly input: unknown; readonly output: Value } | undefined;
}

/** One flaw in the shape of Standard Schema. */
export interface StandardIssue {
  readonly message: string;
  readonly path: readonly PropertyKey[];
}

/** A message of the wire. One table yields its validator, its JSON Schema and its rows in docs/PROTOCOL.md. */
export interface Message<Value> extends Kind<Value> {
  readonly name: string;
  readonly about: string;
  readonly rows: readonly Row[];
  /** The whole schema; `jsonSchema` is only a reference to it as a component of an OpenAPI document. */
  readonly component: JsonSchema;
  /** The messages that its fields refer to. */
  readonly inner: readonly AnyMessage[];
  /** The message with unknown fields dropped and defaults filled in, or at most `MAX_FLAWS` flaws. */
  parse(value: unknown): Result<Value, readonly Flaw[]>;
  readonly '~standard': StandardProps<Value>;
}

/** A message of any type, for docs and schemas. */
export type AnyMessage = Pick<Message<unknown>, 'name' | 'about' | 'rows' | 'component' | 'inner'>;

type Slot = readonly [key: string, field: Field<unknown>];

interface Found {
  readonly path: PropertyKey[];
  readonly received: string;
  readonly allowed: string;
}

/** Collects flaws. Paths grow from the inside out, so that reading a valid value builds none. */
export class Flaws {
  readonly #found: Found[] = [];

  get count(): number {
    return this.#found.length;
  }

  get full(): boolean {
    return this.#found.length >= MAX_FLAWS;
  }

  /** Adds the flaw that `value` is not allowed here. Returns undefined, for `return flaws.add(…)`. */
  add(value: unknown, allowed: string): undefined {
    this.note(printed(value), allowed);
  }

  /** Adds a flaw with its own description, for a value that must not be shown or is not clear enough. */
  note(received: string, allowed: string): undefined {
    if (!this.full) this.#found.push({ path: [], received, allowed });
  }

  /** Prefixes the paths of all flaws from the `since`-th on with `key`. */
  under(key: string | number, since: number): void {
    for (let at = since; at < this.#found.length; at += 1) this.#found[at]?.path.unshift(key);
  }

  get list(): readonly Flaw[] {
    return this.#found.map(({ path, received, allowed }) => ({ path: pathText(path), received, allowed }));
  }

  get issues(): readonly StandardIssue[] {
    return this.#found.map(({ path, received, allowed }) => ({
      message: `received ${received}; allowed: ${allowed}`,
      path,
    }));
  }
}

/** Defines a message by its table; `check` validates several fields together, once each is valid. */
export function message<Value extends object>(
  name: string,
  about: string,
  fields: Fields<Value>,
  check?: (value: Value, flaws: Flaws) => void,
): Message<Value> {
  const list = Object.entries<Field<unknown>>(fields);
  const blank = blankOf(list);
  const read = (value: unknown, flaws: Flaws): Value | undefined => {
    if (!isRecord(value)) return flaws.add(value, `an object (${name})`);
    const before = flaws.count;
    // cloning gives all messages of a table the same hidden class, which adding sixteen fields one by one does not
    const copy: Record<string, unknown> = { ...blank };
    for (const slot of list) {
      if (flaws.full) break;
      readField(value, copy, slot, flaws);
    }
    if (flaws.count > before) return undefined;
    check?.(copy as Value, flaws);
    return flaws.count > before ? undefined : (copy as Value);
  };
  const self: Message<Value> = {
    name,
    about,
    allowed: name,
    jsonSchema: { $ref: `#/components/schemas/${name}` },
    component: componentOf(about, list),
    get parts() {
      return [self];
    },
    inner: list.flatMap(([, field]) => field.kind.parts),
    rows: list.map(rowOf),
    read,
    parse(value) {
      const flaws = new Flaws();
      const parsed = read(value, flaws);
      return parsed === undefined ? { ok: false, problem: flaws.list } : { ok: true, value: parsed };
    },
    '~standard': {
      version: 1,
      vendor: 'rollcall',
      validate(value) {
        const flaws = new Flaws();
        const parsed = read(value, flaws);
        return parsed === undefined ? { issues: flaws.issues } : { value: parsed };
      },
    },
  };
  return self;
}

/** A field that is required. */
export function required<Value>(kind: Kind<Value>, about: string): Field<Value, false> {
  return { kind, about, optional: false };
}

/** A field that may be missing, and then stays missing. */
export function optional<Value>(kind: Kind<Value>, about: string): Field<Value, true> {
  return { kind, about, optional: true };
}

/** A field that becomes `fallback` if it is missing. */
export function withDefault<Value>(kind: Kind<Value>, fallback: Value, about: string): Field<Value, false> {
  return { kind, about, optional: false, fallback };
}

/** `components.schemas` of an OpenAPI document: these messages and all messages inside them. */
export function componentSchemas(messages: readonly AnyMessage[]): Record<string, JsonSchema> {
  const schemas: Record<string, JsonSchema> = {};
  const add = (each: AnyMessage): void => {
    if (each.name in schemas) return;
    schemas[each.name] = each.component;
    each.inner.forEach(add);
  };
  messages.forEach(add);
  return schemas;
}

/** True for an object of any class that is not an array. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A received value in at most 80 printable characters. It shows only the outermost level. */
export function printed(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string') return printedText(value);
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return String(value);
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

const ESCAPED = new RegExp(`${UNPRINTABLE.source}|["\\\\]`, 'gu');

function printedText(text: string): string {
  const long = text.length > MAX_PRINTED ? ` (${text.length} characters)` : '';
  const room = MAX_PRINTED - long.length - 3;
  let shown = '';
  for (const character of text.slice(0, MAX_PRINTED)) {
    const next = character.replace(ESCAPED, escaped);
    if (shown.length + next.length > room) return `"${shown}…"${long}`;
    shown += next;
  }
  return `"${shown}"`;
}

function escaped(character: string): string {
  if (character === '"' || character === '\\') return `\\${character}`;
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}

function pathText(path: readonly PropertyKey[]): string {
  let text = '';
  for (const key of path) {
    if (typeof key === 'number') text += `[${key}]`;
    else if (/^\w{1,64}$/.test(String(key))) text += text === '' ? String(key) : `.${String(key)}`;
    else text += `[${printedText(String(key))}]`;
  }
  return text;
}

/**
 * An object with every field that is always present. JSON.parse creates it, so that V8 stores all fields in the object
 * itself.
 */
function blankOf(list: readonly Slot[]): Record<string, unknown> {
  const always = list.filter(([, field]) => !field.optional).map(([key]) => `${JSON.stringify(key)}:null`);
  return JSON.parse(`{${always.join()}}`) as Record<string, unknown>;
}

function readField(
  from: Readonly<Record<string, unknown>>,
  to: Record<string, unknown>,
  slot: Slot,
  flaws: Flaws,
): void {
  const [key, field] = slot;
  const given = from[key];
  if (given === undefined && 'fallback' in field) {
    to[key] = field.fallback;
    return;
  }
  if (given === undefined && field.optional) return;
  const since = flaws.count;
  to[key] = field.kind.read(given, flaws);
  if (flaws.count > since) flaws.under(key, since);
}

function componentOf(about: string, list: readonly Slot[]): JsonSchema {
  const properties = list.map(([key, { kind, about: description, ...field }]) => {
    const fallback = 'fallback' in field ? { default: field.fallback } : {};
    return [key, { ...kind.jsonSchema, description, ...fallback }];
  });
  const needed = list.filter(([, field]) => !field.optional && !('fallback' in field)).map(([key]) => key);
  return { type: 'object', description: about, properties: Object.fromEntries(properties), required: needed };
}

function rowOf([key, field]: Slot): Row {
  const needed = field.optional ? 'no' : 'yes';
  const fallback = 'fallback' in field ? `default \`${JSON.stringify(field.fallback)}\`` : needed;
  return { field: key, allowed: field.kind.allowed, required: fallback, about: field.about };
}
