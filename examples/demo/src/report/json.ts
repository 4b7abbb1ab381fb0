import type { InstanceChange } from 'rollcall';
import type { Traffic } from '../load/traffic-text.js';
import type { Run } from '../supervisor.js';
import { isStateChange } from './state-change.js';
import type { Out, Report, ReadyInfo } from './report.js';

/**
 * One line of JSON once everything is HEALTHY, then one for each process that exits or starts, each change of state,
 * each key, and the calls every 5 s.
 */
export class JsonReport implements Report {
  readonly #out: Out;
  #isReady = false;

  constructor(out: Out) {
    this.#out = out;
  }

  ready({ registry, dashboard, gateway, runs }: ReadyInfo): void {
    this.#isReady = true;
    this.#out.write(JSON.stringify({ registry, dashboard, gateway, processes: runs.map(factsOf) }));
  }

  started(run: Run): void {
    this.#event('started', factsOf(run));
  }

  exited(run: Run): void {
    this.#event('exited', factsOf(run));
  }

  changed(changes: readonly InstanceChange[]): void {
    for (const { instance, removed } of changes.filter(isStateChange)) {
      const { id, service } = instance;
      const state = removed === null ? instance.state : 'REMOVED';
      const reason = (removed === null ? instance.reason : removed.reason)?.text ?? null;
      this.#event('changed', { instance: id, service, state, reason });
    }
  }

  traffic({ calls, failed, elsewhere, perSecond, p99Ms, firstError }: Traffic): void {
    this.#event('calls', { calls, failed, elsewhere, perSecond, p99Ms, firstError });
  }

  notice(text: string): void {
    if (this.#isReady) this.#event('notice', { text });
    else this.#out.warn(text);
  }

  warn(text: string): void {
    this.#out.warn(text);
  }

  close(): void {}

  /** Events before everything is HEALTHY are part of the first line. */
  #event(event: string, facts: object): void {
    if (this.#isReady) this.#out.write(JSON.stringify({ event, ...facts }));
  }
}

function factsOf({ role, pid, instance }: Run): object {
  return { name: role.name, pid, service: role.service, instance };
}
