import { isRollcallError } from '@rollcall/core';
import type { ErrorCode } from '@rollcall/core';

/** A reader of untrusted bytes, and the rules that must hold for any input. */
export interface Target {
  readonly name: string;
  readonly about: string;
  /** Inputs from which others are made: each is one that the target reads to its end. */
  readonly seeds: readonly (string | Uint8Array)[];
  /** Throws, or rejects, when a rule is broken. */
  readonly run: (bytes: Uint8Array) => void | Promise<void>;
}

/**
 * The time limit of one run: a constant, plus a share per byte. Ten times that of the slowest target, far below
 * quadratic.
 */
const CONSTANT_MS = 40;
const MS_PER_BYTE = 0.02;
/** The factor by which coverage instrumentation slows code down. */
const SLOWNESS = 'Fuzzer' in globalThis ? 10 : 1;
/** A process that was stopped for a moment is not a finding: only a run that is slow this many times in a row is. */
const ATTEMPTS = 4;

/** A broken rule, as text. */
export class Finding extends Error {
  override readonly name = 'Finding';
}

export function assertRule(isTrue: boolean, what: string): asserts isTrue {
  if (!isTrue) throw new Finding(what);
}

/**
 * Runs the target once under the rules for all targets: no prototype changes, and time is bounded by the input's
 * length.
 */
export function examine(target: Target, bytes: Uint8Array): void | Promise<void> {
  const took = stopwatch();
  const outcome = target.run(bytes);
  if (outcome !== undefined) return outcome.then(() => examineLater(target, bytes, took()));
  checkPrototypes();
  let leastMs = took();
  for (let attempt = 1; attempt < ATTEMPTS && isSlow(bytes, leastMs); attempt += 1) {
    const tookAgain = stopwatch();
    void target.run(bytes);
    leastMs = Math.min(leastMs, tookAgain());
  }
  checkTime(bytes, leastMs);
}

async function examineLater(target: Target, bytes: Uint8Array, tookMs: number): Promise<void> {
  checkPrototypes();
  let leastMs = tookMs;
  for (let attempt = 1; attempt < ATTEMPTS && isSlow(bytes, leastMs); attempt += 1) {
    const tookAgain = stopwatch();
    await target.run(bytes);
    leastMs = Math.min(leastMs, tookAgain());
  }
  checkTime(bytes, leastMs);
}

/** The smaller one of elapsed time and this process's CPU time: other processes may use the machine, too. */
function stopwatch(): () => number {
  const startedAt = performance.now();
  const before = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(before);
    return Math.min(performance.now() - startedAt, (user + system) / 1_000);
  };
}

const isSlow = (bytes: Uint8Array, ms: number): boolean => ms > SLOWNESS * (CONSTANT_MS + MS_PER_BYTE * bytes.length);

function checkTime(bytes: Uint8Array, ms: number): void {
  assertRule(!isSlow(bytes, ms), `${bytes.length} bytes take ${ms.toFixed(1)} ms`);
}

const PROTOTYPES = [Object.prototype, Array.prototype, Function.prototype, String.prototype];
const KEYS = PROTOTYPES.map((prototype) => Reflect.ownKeys(prototype).length);

function checkPrototypes(): void {
  PROTOTYPES.forEach((prototype, at) => {
    assertRule(Reflect.ownKeys(prototype).length === KEYS[at], 'a prototype has changed');
  });
}

/** Rethrows, unless the error has one of these codes, which are valid answers. Undefined in that case. */
export function allowErrors<Value>(codes: readonly ErrorCode[], run: () => Value): Value | undefined {
  try {
    return run();
  } catch (error) {
    checkTyped(codes, error);
    return undefined;
  }
}

export function checkTyped(codes: readonly ErrorCode[], error: unknown): void {
  if (!isRollcallError(error) || !codes.includes(error.code)) throw error;
  assertRule(error.message.length <= 1_000, `an error message of ${error.message.length} characters`);
}

/** Equal as JSON, with keys in the same order. */
export function assertEqual(left: unknown, right: unknown, what: string): void {
  const [one, other] = [JSON.stringify(left), JSON.stringify(right)];
  if (one !== other) throw new Finding(`${what}: ${shown(one)} is not ${shown(other)}`);
}

const shown = (json: string | undefined): string => (json ?? 'undefined').slice(0, 200);

/** Undefined for invalid JSON. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');
export const bytesOf = (seed: string | Uint8Array): Uint8Array => (typeof seed === 'string' ? Buffer.from(seed) : seed);

/** The same bytes, cut into pieces: each byte by itself, or at places that the bytes determine. */
export function* piecesOf(bytes: Uint8Array): Generator<readonly Uint8Array[]> {
  if (bytes.length <= 256) yield Array.from(bytes, (_, at) => bytes.subarray(at, at + 1));
  const pieces: Uint8Array[] = [];
  let state = bytes.length;
  for (let from = 0; from < bytes.length;) {
    state = (Math.imul(state, 1_664_525) + (bytes[from] ?? 0) + 1_013_904_223) >>> 0;
    const to = from + 1 + ((state >>> 16) % 97);
    pieces.push(bytes.subarray(from, to));
    from = to;
  }
  yield pieces;
}
