import { useRef } from 'preact/hooks';

/** The maximum time for which rows stay out of order: no row moves away from under the pointer or the focus. */
const MAX_STALE_MS = 2_000;

/**
 * Keeps rows in their places while the pointer is over the box or the focus in it: new ones are added at the end, gone
 * ones are removed. `keyOf` names a row. Pass `ref` to the box.
 */
export function useStableOrder<Row>(
  rows: readonly Row[],
  keyOf: (row: Row) => string,
): { readonly rows: readonly Row[]; readonly ref: { current: HTMLElement | null } } {
  const ref = useRef<HTMLElement | null>(null);
  const shown = useRef<{ readonly order: readonly string[]; readonly since: number }>({ order: [], since: 0 });
  const box = ref.current;
  const isTouched = box !== null && (box.matches(':hover') || box.contains(document.activeElement));
  const now = performance.now();
  const wanted = rows.map(keyOf);
  if (!isTouched || now - shown.current.since > MAX_STALE_MS) {
    shown.current = { order: wanted, since: now };
    return { rows, ref };
  }
  const byKey = new Map(rows.map((row) => [keyOf(row), row]));
  const kept = shown.current.order.filter((key) => byKey.has(key));
  const known = new Set(kept);
  const order = [...kept, ...wanted.filter((key) => !known.has(key))];
  return { rows: order.flatMap((key) => byKey.get(key) ?? []), ref };
}
