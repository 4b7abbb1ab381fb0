import type { Random } from '@rollcall/core';

/**
 * In which order several registries are tried. `listed`: as in the list, and an earlier one is gone back to when it is there again, so
 * that all processes meet at the same one: right for registries that know nothing of each other. `random`: each process in an
 * order of its own, and it stays with whichever works, so that callers spread: only for replicas of one registry.
 */
export type RegistryOrder = 'listed' | 'random';
export const REGISTRY_ORDERS: readonly RegistryOrder[] = ['listed', 'random'];

/** More URLs than this are no choice but a mistake. */
export const MOST_REGISTRIES = 16;

/**
 * Whose turn it is among several registries. One is the current one, until it gives no answer; then the next in the order is, and
 * after the last the first. Free of I/O and time.
 */
export class Registries<Registry> {
  readonly #all: readonly Registry[];
  readonly #order: RegistryOrder;
  #at = 0;

  /** `all`: at least one. Chance is asked once, for `random`. */
  constructor(all: readonly Registry[], order: RegistryOrder, random: Random) {
    this.#all = order === 'random' ? shuffled(all, random) : all;
    this.#order = order;
  }

  /** The one that is asked now. */
  get current(): Registry {
    return this.#all[this.#at] as Registry; // `#at` counts the list, which is not empty
  }

  /** Everyone once, in the order in which they are tried now. */
  get round(): readonly Registry[] {
    return [...this.#all.slice(this.#at), ...this.#all.slice(0, this.#at)];
  }

  /** Those that would be better than the current one, the best first: none where the order says nothing of better. */
  get better(): readonly Registry[] {
    return this.#order === 'listed' ? this.#all.slice(0, this.#at) : [];
  }

  /** It answered: from now on it is the current one. */
  answered(registry: Registry): void {
    const at = this.#all.indexOf(registry);
    if (at !== -1) this.#at = at;
  }

  /** It gave no answer. Nothing changes if another one has become the current one meanwhile. */
  failed(registry: Registry): void {
    if (registry === this.current) this.#at = (this.#at + 1) % this.#all.length;
  }
}

/** Fisher and Yates, in Durstenfeld's form (CACM 7, 1964, algorithm 235): every order has the same chance. */
function shuffled<Item>(items: readonly Item[], random: Random): readonly Item[] {
  const left = [...items];
  const drawn: Item[] = [];
  while (left.length > 0) drawn.push(...left.splice(Math.floor(random.unit() * left.length), 1));
  return drawn;
}
