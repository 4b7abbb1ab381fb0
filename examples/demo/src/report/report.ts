import type { InstanceChange } from 'rollcall';
import type { Traffic } from '../load/words.js';
import type { Run } from '../supervisor.js';

/** Everything runs and is HEALTHY. */
export interface Whole {
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
  complain(text: string): void;
}

/** Who is told what happens: a program (json), a log (lines) or a person at a terminal (table). */
export interface Report {
  /** Once, when everything is HEALTHY for the first time. */
  whole(facts: Whole): void;
  /** It is there: registered with its new instance id (the registry: it serves). */
  started(run: Run): void;
  /** It was there, and is gone; `how`: its signal or exit code. */
  exited(run: Run, how: string): void;
  /** The registry's view moved, or its line opened or closed. */
  changed(changes: readonly InstanceChange[]): void;
  /** How the demo's own calls fare, every 5 s and at the end. */
  traffic(traffic: Traffic): void;
  /** What somebody did to the demo, or had to be done differently, in a line. */
  told(text: string): void;
  /** Something that people must know, in a sentence or some lines. */
  complain(text: string): void;
  /** Gives the terminal back. May be called twice. */
  close(): void;
}
