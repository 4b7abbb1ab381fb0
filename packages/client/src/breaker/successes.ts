/** The time over which successes are counted, the same as for failures. */
const WINDOW_MS = 10_000;
/** The cells of a count: the current window, the previous window, and the number of the current window. */
export const SUCCESS_CELLS = 3;

/**
 * Counts the successes of the last 10 s in three cells starting at `cells[at]`, so that one count touches little memory. The result adds
 * the previous window in proportion to its remaining time, as if its successes had arrived evenly.
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
