import { renderChange, shortNames } from 'rollcall';
import type { InstanceChange, Terminal } from 'rollcall';
import type { Run } from '../supervisor.js';
import type { Out, Report, Whole } from './report.js';

/** One line per change: for a pipe or a file. */
export class LinesReport implements Report {
  readonly #out: Out;
  readonly #terminal: Terminal;

  constructor(out: Out, terminal: Terminal) {
    this.#out = out;
    this.#terminal = terminal;
  }

  whole({ registry, gateway, afterMs }: Whole): void {
    this.#out.write(
      `Everything is HEALTHY after ${(afterMs / 1_000).toFixed(1)} s. Registry ${registry}, gateway ${gateway}`,
    );
  }

  started({ role, pid }: Run): void {
    this.#out.write(`${role.name} runs as process ${pid}.`);
  }

  exited({ role, pid }: Run, how: string): void {
    this.#out.write(`${role.name}, process ${pid}, ended: ${how}.`);
  }

  changed(changes: readonly InstanceChange[]): void {
    for (const { instance, before, removed } of changes) {
      const isNews =
        removed !== null || before?.state !== instance.state || before.reason.text !== instance.reason.text;
      if (!isNews) continue;
      const name = shortNames([instance]).get(instance.id) ?? instance.id;
      const state = removed === null ? instance.state : 'REMOVED';
      const text = (removed === null ? instance.reason : removed.reason)?.text ?? '';
      this.#out.write(renderChange({ name, state, text }, { ...this.#terminal, now: Date.now(), rows: 0 }));
    }
  }

  complain(text: string): void {
    this.#out.complain(text);
  }

  close(): void {}
}
