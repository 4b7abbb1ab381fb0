import type { Instance, Tombstone } from '@rollcall/core';
import type { ServiceAnswer } from '@rollcall/registry';
import type { Scene } from './scene.js';
import type { Truth } from './truth.js';

/** One invariant that was broken. */
export interface Violation {
  /** `S1`, `L2`, … */
  readonly name: string;
  /** Virtual ms. */
  readonly at: number;
  readonly text: string;
}

/** A record of the registry that was changed, as a watcher inside the registry's own process sees it. */
export interface Verdict {
  readonly before: Instance | null;
  readonly after: Instance;
}

/** What every rule judges by. */
export interface Case {
  readonly scene: Scene;
  readonly truth: Truth;
  readonly ledger: Ledger;
}

const MOST_VIOLATIONS = 20;

/** What was seen so far, and what was found wrong in it. */
export class Ledger {
  readonly violations: Violation[] = [];
  /** All that was ever told of a removal, by id: the newest. */
  readonly buried = new Map<string, Tombstone>();
  /** Of this life of the registry: everybody it lists, as last published. */
  readonly listed = new Map<string, Instance>();
  /** When an id was last refused for a while; who was refused for good. */
  readonly refusedAt = new Map<string, number>();
  readonly endedIds = new Set<string>();
  /** How many calls there were, and how many failed, whatever the reason. */
  calls = 0;
  failedCalls = 0;
  /** When those who had registered before registered again, of what came to the registry. */
  readonly reRegistrations: number[] = [];
  /** When the registry last published anything. */
  publishedAt = 0;
  /** What the registry decided, in order: two runs with equal traces are the same run. */
  readonly trace: string[] = [];
  readonly #scene: Scene;
  readonly #views = new Map<string, ServiceAnswer | null>();
  #viewedAt = -1;

  constructor(scene: Scene) {
    this.#scene = scene;
  }

  report(name: string, text: string): void {
    const isKnown = this.violations.some((violation) => violation.name === name && violation.text === text);
    if (isKnown || this.violations.length >= MOST_VIOLATIONS) return;
    this.violations.push({ name, at: Math.round(this.#scene.now), text });
  }

  note(id: string, what: string): void {
    const who = this.#scene.known.get(id)?.process.name ?? id;
    this.trace.push(`${this.#scene.world.now.toFixed(1)} ${who} ${what}`);
  }

  /** What the registry says of a service now, asked once in a moment; null when it says nothing. */
  view(service: string): ServiceAnswer | null {
    if (this.#viewedAt !== this.#scene.world.now) this.#views.clear();
    this.#viewedAt = this.#scene.world.now;
    const known = this.#views.get(service);
    if (known !== undefined) return known;
    const { registry, isListening } = this.#scene.registry;
    const answer = isListening ? registry?.service('default', service) : undefined;
    const view = answer?.ok === true ? answer.value : null;
    this.#views.set(service, view);
    return view;
  }
}
