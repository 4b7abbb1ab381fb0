import type { ServiceRef } from './frames.js';
import type { Subscriber } from './subscriber.js';

/**
 * The watchers of each service. Clients choose the names, so a name with a single watcher costs no more than a map
 * entry.
 */
export class Subscriptions {
  readonly #watchers = new Map<string, Subscriber | Set<Subscriber>>();

  add(watcher: Subscriber): void {
    for (const key of keysOf(watcher)) {
      const others = this.#watchers.get(key);
      if (others === undefined) this.#watchers.set(key, watcher);
      else if (others instanceof Set) others.add(watcher);
      else this.#watchers.set(key, new Set([others, watcher]));
    }
  }

  delete(watcher: Subscriber): void {
    for (const key of keysOf(watcher)) {
      const watchers = this.#watchers.get(key);
      if (watchers instanceof Set) watchers.delete(watcher);
      if (watchers === watcher || (watchers instanceof Set && watchers.size === 0)) this.#watchers.delete(key);
    }
  }

  /** The watchers of a service, each once. */
  *of(service: ServiceRef): Iterable<Subscriber> {
    for (const key of [service.service, '*']) {
      for (const watcher of this.#listOf(key)) if (watcher.wants(service)) yield watcher;
    }
  }

  #listOf(key: string): Iterable<Subscriber> {
    const watchers = this.#watchers.get(key) ?? [];
    return Symbol.iterator in watchers ? watchers : [watchers];
  }
}

/** The keys of a watcher: beside `*` the other names are redundant. */
function keysOf({ names }: Subscriber): Iterable<string> {
  return names.has('*') ? ['*'] : names;
}
