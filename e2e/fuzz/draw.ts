import { componentSchemas } from '@rollcall/core';
import type { AnyMessage, JsonSchema } from '@rollcall/core';

/**
 * Choices drawn from bytes: the same bytes, the same choices; 0 when they are used up. A change of bytes changes
 * choices.
 */
export class Draw {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isEmpty(): boolean {
    return this.#at >= this.#bytes.length;
  }

  byte(): number {
    const byte = this.#bytes[this.#at] ?? 0;
    this.#at += 1;
    return byte;
  }

  /** 0 … count − 1, of at most 65,536. */
  below(count: number): number {
    return count <= 256 ? this.byte() % count : (this.byte() * 256 + this.byte()) % count;
  }

  pick<Item>(items: readonly [Item, ...Item[]]): Item {
    return items[this.below(items.length)] ?? items[0];
  }

  /** At most `maxLength` bytes, unchanged. */
  rest(maxLength: number): Uint8Array {
    const from = this.#at;
    this.#at = Math.min(this.#bytes.length, from + maxLength);
    return this.#bytes.subarray(Math.min(from, this.#bytes.length), this.#at);
  }
}

const WORDS = [
  'orders',
  'default',
  'a',
  '10.0.0.5',
  '::1',
  'orders-1',
  '0192f0a1-7c3e-7a61-8f00-1a2b3c4d5e6f',
  '',
  '__proto__',
  'constructor',
  'a'.repeat(64),
  'é\u202e\ud800',
  'HEALTHY',
  'nonce-12',
  'ENABLED',
  'http://127.0.0.1:1337',
  'x'.repeat(300),
] as const;
const NUMBERS = [0, 1, 2, 3001, 65_535, 65_536, -1, 0.5, 1e308, Number.MAX_SAFE_INTEGER, 2 ** 53, -0] as const;
const MAX_DEPTH = 6;
const MAX_ITEMS = 5;

/** Built once: the tables do not change. */
const SCHEMAS = new Map<AnyMessage, Readonly<Record<string, JsonSchema>>>();
const MATCHING_WORDS = new Map<string, readonly string[]>();

function wordsFor(pattern: unknown): readonly string[] {
  if (typeof pattern !== 'string') return [];
  const known = MATCHING_WORDS.get(pattern);
  if (known !== undefined) return known;
  const matching = WORDS.filter((word) => new RegExp(pattern, 'u').test(word));
  MATCHING_WORDS.set(pattern, matching);
  return matching;
}

/** A value that mostly matches a message's table, with flaws, as drawn from the bytes. */
export function valueFor(message: AnyMessage, draw: Draw): unknown {
  let schemas = SCHEMAS.get(message);
  if (schemas === undefined) SCHEMAS.set(message, (schemas = componentSchemas([message])));
  return new ValueGenerator(schemas, draw).make(message.component, 0);
}

class ValueGenerator {
  readonly #schemas: Readonly<Record<string, JsonSchema>>;
  readonly #choices: Draw;

  constructor(schemas: Readonly<Record<string, JsonSchema>>, draw: Draw) {
    this.#schemas = schemas;
    this.#choices = draw;
  }

  make(schema: JsonSchema, depth: number): unknown {
    if (depth > MAX_DEPTH) return null;
    if (this.#choices.below(24) === 23) return this.#oddValue();
    const { $ref, anyOf, type } = schema;
    if (typeof $ref === 'string') return this.make(this.#schemas[$ref.split('/').at(-1) ?? ''] ?? {}, depth);
    if (Array.isArray(anyOf)) return this.make((anyOf[this.#choices.below(anyOf.length)] ?? {}) as JsonSchema, depth);
    const kind: unknown = Array.isArray(type) ? type[this.#choices.below(type.length)] : type;
    if (kind === 'object') return this.#object(schema, depth);
    if (kind === 'array') return this.#list(schema, depth);
    if (kind === 'string') return this.#text(schema);
    if (kind === 'integer' || kind === 'number') return this.#number(schema);
    if (kind === 'boolean') return this.#choices.below(2) === 0;
    return kind === 'null' ? null : this.#oddValue();
  }

  #object({ properties, additionalProperties }: JsonSchema, depth: number): unknown {
    const entries: [string, unknown][] = [];
    for (const [name, inner] of Object.entries((properties ?? {}) as Record<string, JsonSchema>)) {
      if (this.#choices.below(16) !== 15) entries.push([name, this.make(inner, depth + 1)]);
    }
    if (additionalProperties !== undefined) {
      for (let left = this.#choices.below(MAX_ITEMS); left > 0; left -= 1) {
        entries.push([this.#word(), this.make(additionalProperties as JsonSchema, depth + 1)]);
      }
    }
    if (this.#choices.below(16) === 15) entries.push([this.#word(), this.#oddValue()]);
    // as JSON.parse makes it, where `__proto__` is a key like any other
    return JSON.parse(`{${entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join()}}`);
  }

  #list({ items, minItems }: JsonSchema, depth: number): unknown[] {
    const length =
      Math.max(Number(minItems ?? 0), this.#choices.below(MAX_ITEMS)) + (this.#choices.below(64) === 63 ? 70 : 0);
    return Array.from({ length }, () => this.make((items ?? {}) as JsonSchema, depth + 1));
  }

  #text(schema: JsonSchema): string {
    const words: unknown = schema['enum'] ?? schema['examples'];
    if (Array.isArray(words) && this.#choices.below(8) !== 7) return String(words[this.#choices.below(words.length)]);
    const matching = wordsFor(schema['pattern']);
    if (matching.length > 0 && this.#choices.below(8) !== 7)
      return matching[this.#choices.below(matching.length)] ?? '';
    return this.#word();
  }

  #number({ minimum, maximum }: JsonSchema): number {
    const least = Number(minimum ?? 0);
    if (this.#choices.below(4) === 3) return NUMBERS[this.#choices.below(NUMBERS.length)] ?? 0;
    return least + this.#choices.below(Math.max(1, Math.min(65_536, Number(maximum ?? 65_535) - least + 1)));
  }

  #word(): string {
    const at = this.#choices.below(WORDS.length + 4);
    return WORDS[at] ?? Buffer.from(this.#choices.rest(this.#choices.below(40))).toString('utf8');
  }

  #oddValue(): unknown {
    const nested: unknown = JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}');
    const odd = [null, true, '', [], {}, nested, [[[[[]]]]], -1, 'x'.repeat(5_000), 1e308, this.#choices.byte()];
    return odd[this.#choices.below(odd.length)] ?? null;
  }
}
