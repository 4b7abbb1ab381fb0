import type { InstanceChange } from 'rollcall';
import type { Traffic } from '../load/traffic-text.js';
import type { Run } from '../supervisor.js';

/** Everything runs and is HEALTHY. */
export interface ReadyInfo {
  /** URLs. */
  readonly registry: string;
  readonly dashboard: string;
  readonly gateway: string;
  readonly runs: readonly Run[];
  readonly afterMs: number;
}

/** Lines on standard output, and on standard error. */
export interface Out {
  write(line: string): void;
  warn(text: string): void;
}

/** Reports events to a program (json), a log (lines) or a person at a terminal (table). */
export interface Report {
  /** Once, when everything is HEALTHY for the first time. */
  ready(facts: ReadyInfo): void;
  /** It has registered with its new instance id (the registry: it serves). */
  started(run: Run): void;
  /** It is gone after it had started; `how`: its signal or exit code. */
  exited(run: Run, how: string): void;
  /** The registry's view changed, or its stream opened or closed. */
  changed(changes: readonly InstanceChange[]): void;
  /** The results of the demo's own calls, every 5 s and at the end. */
  traffic(traffic: Traffic): void;
  /** A notice of one line: an action on the demo, or a deviation from its defaults. */
  notice(text: string): void;
  /** A warning, in a sentence or some lines. */
  warn(text: string): void;
  /** Restores the terminal. May be called twice. */
  close(): void;
}
