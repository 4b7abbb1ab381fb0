import type { ServiceRef } from './frames.js';
import type { Subscriber } from './subscriber.js';

/** Who watches what. Names come from strangers, so one that a single watcher asks for costs no more than an entry. */
export class Subscriptions {
  readonly #watchers = new Map<string, Subscriber | Set<Subscriber>>();

  add(watcher: Subscriber): void {
    for (const name of keysOf(watcher)) {
      const others = this.#watchers.get(name);
      if (others === undefined) this.#watchers.set(name, watcher);
      else if (others instanceof Set) others.add(watcher);
      else this.#watchers.set(name, new Set([others, watcher]));
    }
  }

  delete(watcher: Subscriber): void {
    for (const name of keysOf(watcher)) {
      const bearers = this.#watchers.get(name);
      if (bearers instanceof Set) bearers.delete(watcher);
      if (bearers === watcher || (bearers instanceof Set && bearers.size === 0)) this.#watchers.delete(name);
    }
  }

  /** Each once. */
  *of(service: ServiceRef): Iterable<Subscriber> {
    for (const name of [service.service, '*']) {
      for (const watcher of this.#listOf(name)) if (watcher.wants(service)) yield watcher;
    }
  }

  #listOf(name: string): Iterable<Subscriber> {
    const bearers = this.#watchers.get(name) ?? [];
    return Symbol.iterator in bearers ? bearers : [bearers];
  }
}

/** The names under which a watcher is found: with `*` the others say nothing. */
function keysOf({ names }: Subscriber): Iterable<string> {
  return names.has('*') ? ['*'] : names;
}
