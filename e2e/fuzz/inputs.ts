import * as fc from 'fast-check';
import { bytesOf } from './target.js';
import type { Target } from './target.js';

/** One change of an example. */
interface Edit {
  readonly kind: 'flip' | 'set' | 'cut' | 'drop' | 'double' | 'insert';
  /** The position, as a share of the length. */
  readonly at: number;
  readonly value: number;
  readonly bytes: Uint8Array;
}

const edit: fc.Arbitrary<Edit> = fc.record({
  kind: fc.constantFrom('flip', 'set', 'cut', 'drop', 'double', 'insert'),
  at: fc.nat(65_535),
  value: fc.oneof(fc.nat(255), fc.constantFrom(0, 10, 13, 34, 35, 48, 57, 91, 123, 125, 127, 128, 255)),
  bytes: fc.oneof(
    fc.uint8Array({ maxLength: 12 }),
    fc
      .constantFrom('"__proto__":', '\r\n', '{', ']', '1e999', '\\ud800', '\u{1f600}', '#')
      .map((text) => Buffer.from(text)),
  ),
});

/** The example with these changes, one after another. */
export function edited(example: Uint8Array, edits: readonly Edit[]): Uint8Array {
  let bytes = Buffer.from(example);
  for (const { kind, at: place, value, bytes: more } of edits) {
    const at = bytes.length === 0 ? 0 : place % bytes.length;
    const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];
    if (kind === 'flip')
      bytes = Buffer.concat([head, Buffer.from([(tail[0] ?? 0) ^ (1 << (value % 8))]), tail.subarray(1)]);
    else if (kind === 'set') bytes = Buffer.concat([head, Buffer.from([value]), tail.subarray(1)]);
    else if (kind === 'cut') bytes = Buffer.from(head);
    else if (kind === 'drop') bytes = Buffer.concat([head, tail.subarray(1 + (value % 16))]);
    else if (kind === 'double') bytes = Buffer.concat([head, tail.subarray(0, value), tail]);
    else bytes = Buffer.concat([head, more, tail]);
  }
  return bytes;
}

/** Any bytes; changed examples of the target; choices for values made from a table. */
export function inputs({ seeds }: Pick<Target, 'seeds'>): fc.Arbitrary<Uint8Array> {
  const example = fc.constantFrom(...seeds.map(bytesOf));
  return fc.oneof(
    { weight: 2, arbitrary: fc.uint8Array({ maxLength: 400 }) },
    {
      weight: 4,
      arbitrary: fc.tuple(example, fc.array(edit, { maxLength: 4 })).map(([bytes, edits]) => edited(bytes, edits)),
    },
    { weight: 1, arbitrary: fc.json().map((text) => Buffer.from(text)) },
    { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 300 }).map((text) => Buffer.from(text)) },
  );
}
