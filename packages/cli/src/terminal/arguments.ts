import { parseArgs } from 'node:util';
import { option, parseOptions, RollcallError } from '@rollcall/core';
import type { OptionsOf, OptionSpec } from '@rollcall/core';

/** One flag of a command line: an option and its syntax. Its key is the flag as it is typed, `--port`. */
export interface Flag<Value, Missing = Value> extends OptionSpec<Value, Missing> {
  /** The placeholder of its value in the help: `<ms>`; null for a switch, which has no value. */
  readonly placeholder: string | null;
  /** One letter, `o` for `-o`, or null. */
  readonly short: string | null;
  /** True if it may be repeated: its value is then the list of all. Else the last one counts. */
  readonly isRepeatable: boolean;
}

export type Flags = Readonly<Record<`--${string}`, Flag<unknown, unknown>>>;

export interface Arguments<Known extends Flags> {
  readonly flags: OptionsOf<Known>;
  /** The operands: neither flags nor their values. */
  readonly operands: readonly string[];
}

/** A flag with a value, described by the option that checks it. Numbers are decimal. */
export function valued<Value, Missing>(
  spec: OptionSpec<Value, Missing>,
  placeholder: string,
  short: string | null = null,
): Flag<Value, Missing> {
  return { ...spec, placeholder, short, isRepeatable: false };
}

/** A flag with a value that may be repeated, described by the option that checks the list. */
export function repeated<Item, Missing>(
  spec: OptionSpec<readonly Item[], Missing>,
  placeholder: string,
): Flag<readonly Item[], Missing> {
  return { ...spec, placeholder, short: null, isRepeatable: true };
}

/** A flag without a value. */
export function toggle(doc: string, short: string | null = null): Flag<boolean> {
  return { ...option.boolean({ doc, default: false }), placeholder: null, short, isRepeatable: false };
}

/**
 * Parses a command line. Throws OPTION_INVALID with every flaw: for an unknown flag the nearest known one, for an
 * invalid value what was received and what is allowed. The last one of a flag counts, unless it may be repeated;
 * after `--` everything is an operand.
 */
export function parseArguments<const Known extends Flags>(known: Known, argv: readonly string[]): Arguments<Known> {
  const shapes = Object.entries(known).map(([key, { placeholder, short }]) => [
    key.slice(2),
    { type: placeholder === null ? 'boolean' : 'string', ...(short === null ? {} : { short }) } as const,
  ]);
  const { tokens } = parseArgs({
    args: [...argv],
    options: Object.fromEntries(shapes),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const received: Record<string, unknown> = {};
  const operands: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') operands.push(token.value);
    if (token.kind !== 'option') continue;
    const key: `--${string}` = `--${token.name}`;
    const isKnown = Object.hasOwn(known, key);
    if (isKnown) received[key] = valueOf(key, known[key], token.value, received[key]);
    else received[token.rawName] = true;
  }
  return { flags: parseOptions(known, received), operands };
}

/** The lines of a help text that describe the flags. */
export function describeFlags(flags: Flags): readonly string[] {
  const rows = Object.entries(flags).map(([key, { placeholder, short, doc }]) => ({
    typed: `${short === null ? '    ' : `-${short}, `}${key}${placeholder === null ? '' : ` ${placeholder}`}`,
    doc,
  }));
  const width = Math.max(...rows.map(({ typed }) => typed.length));
  return rows.map(({ typed, doc }) => `  ${typed.padEnd(width)}  ${doc}`);
}

/**
 * A typed text where the option takes text, else the number it spells; a switch is true; a repeated one is added to
 * those before.
 */
function valueOf(
  key: string,
  flag: Flag<unknown, unknown> | undefined,
  typed: string | undefined,
  before: unknown,
): unknown {
  if (flag === undefined || flag.placeholder === null) {
    if (typed === undefined) return true;
    throw new RollcallError('OPTION_INVALID', `Option ${key} takes no value. Write ${key} alone.`);
  }
  if (typed === undefined) {
    throw new RollcallError(
      'OPTION_INVALID',
      `Option ${key} needs a value: ${key} ${flag.placeholder}, ${flag.allowed}.`,
    );
  }
  if (flag.isRepeatable) return Array.isArray(before) ? [...before, typed] : [typed];
  return flag.accept(typed, key).ok || !/^-?\d+(\.\d+)?$/.test(typed) ? typed : Number(typed);
}
