/** Successes are counted over this time, as failures are. */
const WINDOW_MS = 10_000;
/** Numbers that a count needs: of this window, of the one before, and which one this is. */
export const SUCCESS_CELLS = 3;

/**
 * Successes of the last 10 s in three numbers at `at` of `cells`, so that counting one touches hardly any memory: those of this window
 * of time, and of the one before in proportion to what is left of it, as if they had come evenly.
 */
export function countSuccess(cells: Float64Array, at: number, now: number): void {
  const window = Math.floor(now / WINDOW_MS);
  if (cells[at + 2] !== window) {
    cells[at + 1] = cells[at + 2] === window - 1 ? (cells[at] ?? 0) : 0;
    cells[at] = 0;
    cells[at + 2] = window;
  }
  cells[at] = (cells[at] ?? 0) + 1;
}

export function successesWithin(cells: Float64Array, at: number, now: number): number {
  const window = Math.floor(now / WINDOW_MS);
  const left = 1 - (now / WINDOW_MS - window);
  if (cells[at + 2] === window) return (cells[at] ?? 0) + left * (cells[at + 1] ?? 0);
  return cells[at + 2] === window - 1 ? left * (cells[at] ?? 0) : 0;
}

export function forgetSuccesses(cells: Float64Array, at: number): void {
  cells.fill(0, at, at + SUCCESS_CELLS);
}
