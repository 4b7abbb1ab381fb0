/** The port for log lines: one line each, no secrets. Nest's Logger and `console` both fit. */
export interface Log {
  debug(text: string): void;
  info(text: string): void;
  warn(text: string): void;
  error(text: string): void;
}

/** Discards every line. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };
