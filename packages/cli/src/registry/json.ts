import { isRecord } from '@rollcall/core';

/** A JSON object of the registry, whose fields are checked where they are used: an older registry reports less. */
export type Json = Readonly<Record<string, unknown>>;

/** Undefined where anything on the way is missing: `at(answer, 'store', 'name')`. */
export function at(received: unknown, ...path: readonly string[]): unknown {
  let found = received;
  for (const key of path) found = isRecord(found) ? found[key] : undefined;
  return found;
}

/** Null if it is not a number. */
export function numberAt(received: unknown, ...path: readonly string[]): number | null {
  const found = at(received, ...path);
  return typeof found === 'number' ? found : null;
}

/** Null if it is not a text. */
export function textAt(received: unknown, ...path: readonly string[]): string | null {
  const found = at(received, ...path);
  return typeof found === 'string' ? found : null;
}

/** Empty if it is not a list. */
export function listAt(received: unknown, ...path: readonly string[]): readonly unknown[] {
  const found = at(received, ...path);
  return Array.isArray(found) ? found : [];
}

/** The objects of a list; empty if it is not a list. */
export const recordsAt = (received: unknown, ...path: readonly string[]): readonly Json[] =>
  listAt(received, ...path).filter(isRecord);

/** Undefined if it is not JSON. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
