import type { Instance, Tombstone } from '@rollcall/core';
import type { ServiceAnswer } from '@rollcall/registry';
import type { SimulationView } from './simulation-view.js';
import type { Truth } from './truth.js';

/** One broken invariant. */
export interface Violation {
  /** `S1`, `L2`, … */
  readonly name: string;
  /** Virtual ms. */
  readonly at: number;
  readonly text: string;
}

/** A record of the registry that was changed, as a watcher inside the registry's own process sees it. */
export interface RecordChange {
  readonly before: Instance | null;
  readonly after: Instance;
}

/** What every rule works with. */
export interface RuleContext {
  readonly simulation: SimulationView;
  readonly truth: Truth;
  readonly ledger: Ledger;
}

const MAX_VIOLATIONS = 20;

/** What was observed so far, and the violations found in it. */
export class Ledger {
  readonly violations: Violation[] = [];
  /** The newest tombstone of each id. */
  readonly tombstones = new Map<string, Tombstone>();
  /** The instances that this registry process lists, as last published. */
  readonly listed = new Map<string, Instance>();
  /** When an id was last refused temporarily; the ids that were refused for good. */
  readonly refusedAt = new Map<string, number>();
  readonly endedIds = new Set<string>();
  /** The number of calls, and of failed calls, whatever the reason. */
  calls = 0;
  failedCalls = 0;
  /** When instances that had registered before registered again, of the requests that reached the registry. */
  readonly reRegistrations: number[] = [];
  /** When the registry last published anything. */
  publishedAt = 0;
  /** What the registry decided, in order: two runs with equal traces are the same run. */
  readonly trace: string[] = [];
  readonly #simulation: SimulationView;
  readonly #views = new Map<string, ServiceAnswer | null>();
  #viewedAt = -1;

  constructor(simulation: SimulationView) {
    this.#simulation = simulation;
  }

  report(name: string, text: string): void {
    const isKnown = this.violations.some((violation) => violation.name === name && violation.text === text);
    if (isKnown || this.violations.length >= MAX_VIOLATIONS) return;
    this.violations.push({ name, at: Math.round(this.#simulation.now), text });
  }

  recordDecision(id: string, what: string): void {
    const name = this.#simulation.known.get(id)?.process.name ?? id;
    this.trace.push(`${this.#simulation.world.now.toFixed(1)} ${name} ${what}`);
  }

  /** The registry's current view of a service, requested once per moment; null when it has none. */
  view(service: string): ServiceAnswer | null {
    if (this.#viewedAt !== this.#simulation.world.now) this.#views.clear();
    this.#viewedAt = this.#simulation.world.now;
    const known = this.#views.get(service);
    if (known !== undefined) return known;
    const { registry, isListening } = this.#simulation.registry;
    const answer = isListening ? registry?.service('default', service) : undefined;
    const view = answer?.ok === true ? answer.value : null;
    this.#views.set(service, view);
    return view;
  }
}
