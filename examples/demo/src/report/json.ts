import type { Run } from '../supervisor.js';
import type { Out, Report, Whole } from './report.js';

/** One line of JSON once everything is HEALTHY, then one for each process that exits or starts. */
export class JsonReport implements Report {
  readonly #out: Out;
  #isWhole = false;

  constructor(out: Out) {
    this.#out = out;
  }

  whole({ registry, gateway, runs }: Whole): void {
    this.#isWhole = true;
    this.#out.write(JSON.stringify({ registry, gateway, processes: runs.map(factsOf) }));
  }

  started(run: Run): void {
    this.#event('started', run);
  }

  exited(run: Run): void {
    this.#event('exited', run);
  }

  changed(): void {}

  complain(text: string): void {
    this.#out.complain(text);
  }

  close(): void {}

  /** What happens before everything is there shows in the first line. */
  #event(event: 'started' | 'exited', run: Run): void {
    if (this.#isWhole) this.#out.write(JSON.stringify({ event, ...factsOf(run) }));
  }
}

function factsOf({ role, pid, instance }: Run): object {
  return { name: role.name, pid, service: role.service, instance };
}
