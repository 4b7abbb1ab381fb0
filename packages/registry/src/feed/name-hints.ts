import { nearest } from '@rollcall/core';
import type { Time } from '@rollcall/core';
import type { ServiceRef } from './frames.js';
import type { FeedView } from './snapshots.js';

/** Names compared between two reads of the clock. */
const NAMES_AT_ONCE = 64;

export interface HintsParts {
  readonly view: Pick<FeedView, 'services'>;
  readonly time: Time;
  /** The deadline, monotonic ms. */
  readonly until: number;
}

/**
 * Suggests the service probably meant by an unknown name. Each search compares all services, and clients choose the
 * names, so there are no hints after `until`.
 */
export class NameHints {
  readonly #parts: HintsParts;
  readonly #namesByNamespace = new Map<string, readonly string[]>();
  #isOver = false;

  constructor(parts: HintsParts) {
    this.#parts = parts;
  }

  nearest({ namespace, service }: ServiceRef): string | null {
    const name = this.#isOver ? null : nearest(service, this.#inTime(this.#namesIn(namespace)));
    return this.#isOver ? null : name;
  }

  *#inTime(names: readonly string[]): Iterable<string> {
    const { time, until } = this.#parts;
    for (const [index, name] of names.entries()) {
      if (index % NAMES_AT_ONCE === 0 && time.now() >= until) this.#isOver = true;
      if (this.#isOver) return;
      yield name;
    }
  }

  #namesIn(namespace: string): readonly string[] {
    const known = this.#namesByNamespace.get(namespace);
    if (known !== undefined) return known;
    const names = Array.from(this.#parts.view.services(namespace), ({ service }) => service);
    this.#namesByNamespace.set(namespace, names);
    return names;
  }
}
