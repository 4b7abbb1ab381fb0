import { clockText, printable, renderChange, shortNames } from 'rollcall';
import type { InstanceChange, Terminal } from 'rollcall';
import { failureText, trafficText } from '../load/traffic-text.js';
import type { Traffic } from '../load/traffic-text.js';
import type { Run } from '../supervisor.js';
import { isStateChange } from './state-change.js';
import type { Out, Report, ReadyInfo } from './report.js';

/** One line per change: for a pipe or a file. */
export class LinesReport implements Report {
  readonly #out: Out;
  readonly #terminal: Terminal;

  constructor(out: Out, terminal: Terminal) {
    this.#out = out;
    this.#terminal = terminal;
  }

  ready({ registry, dashboard, gateway, afterMs }: ReadyInfo): void {
    this.#out.write(
      `Everything is HEALTHY after ${(afterMs / 1_000).toFixed(1)} s. Dashboard ${dashboard} Registry ${registry}, gateway ${gateway}`,
    );
  }

  started({ role, pid }: Run): void {
    this.#out.write(`${role.name} runs as process ${pid}.`);
  }

  exited({ role, pid }: Run, how: string): void {
    this.#out.write(`${role.name}, process ${pid}, ended: ${how}.`);
  }

  changed(changes: readonly InstanceChange[]): void {
    for (const { instance, removed } of changes.filter(isStateChange)) {
      const name = shortNames([instance]).get(instance.id) ?? instance.id;
      const state = removed === null ? instance.state : 'REMOVED';
      const text = printable((removed === null ? instance.reason : removed.reason)?.text ?? '');
      this.#out.write(renderChange({ name, state, text }, { ...this.#terminal, now: Date.now(), rows: 0 }));
    }
  }

  traffic(traffic: Traffic): void {
    const failures = failureText(traffic);
    const text = [trafficText(traffic), ...(failures === null ? [] : [failures])].join('  ');
    this.#out.write(`${clockText(Date.now())}  ${text}`);
  }

  notice(text: string): void {
    this.#out.write(`${clockText(Date.now())}  ${text}`);
  }

  warn(text: string): void {
    this.#out.warn(text);
  }

  close(): void {}
}
