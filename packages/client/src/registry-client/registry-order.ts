import type { Random } from '@rollcall/core';

/**
 * The order in which several registries are tried. `listed`: in the order of the list; processes return to an earlier one once it is
 * reachable, so that all use the same one. Use it for independent registries. `random`: each process has an order of its own and stays with
 * a registry that works, so that the load is distributed. Use it only for replicas of one registry.
 */
export type RegistryOrder = 'listed' | 'random';
export const REGISTRY_ORDERS: readonly RegistryOrder[] = ['listed', 'random'];

/** The maximum number of registry URLs; a longer list is probably a mistake. */
export const MAX_REGISTRIES = 16;

/**
 * Tracks the current registry among several. It stays the current one until it gives no answer; then the next in the
 * order follows, and after the last the first. Uses neither I/O nor time.
 */
export class Registries<Registry> {
  readonly #all: readonly Registry[];
  readonly #order: RegistryOrder;
  #at = 0;

  /** `all` has at least one registry. `random` is used once, for the order `random`. */
  constructor(all: readonly Registry[], order: RegistryOrder, random: Random) {
    this.#all = order === 'random' ? shuffled(all, random) : all;
    this.#order = order;
  }

  /** The current registry. */
  get current(): Registry {
    return this.#all[this.#at] as Registry; // `#at` counts the list, which is not empty
  }

  /** All registries, in the order in which they are tried now. */
  get round(): readonly Registry[] {
    return [...this.#all.slice(this.#at), ...this.#all.slice(0, this.#at)];
  }

  /** The registries that are preferred to the current one, the best first; empty for the order `random`. */
  get better(): readonly Registry[] {
    return this.#order === 'listed' ? this.#all.slice(0, this.#at) : [];
  }

  /** Makes the registry that answered the current one. */
  answered(registry: Registry): void {
    const at = this.#all.indexOf(registry);
    if (at !== -1) this.#at = at;
  }

  /** Moves on from a registry that gave no answer; a no-op if that registry is no longer the current one. */
  failed(registry: Registry): void {
    if (registry === this.current) this.#at = (this.#at + 1) % this.#all.length;
  }
}

/** The shuffle of Fisher and Yates, in Durstenfeld's form (CACM 7, 1964, algorithm 235): every order is equally likely. */
function shuffled<Item>(items: readonly Item[], random: Random): readonly Item[] {
  const left = [...items];
  const drawn: Item[] = [];
  while (left.length > 0) drawn.push(...left.splice(Math.floor(random.unit() * left.length), 1));
  return drawn;
}
