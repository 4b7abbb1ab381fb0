import type { Log } from '@rollcall/core';

/** Counts the log lines of a process. */
export class LineCount implements Log {
  lines = 0;
  debug(): void {}
  info(): void {
    this.lines += 1;
  }
  warn(): void {
    this.lines += 1;
  }
  error(): void {
    this.lines += 1;
  }
}
