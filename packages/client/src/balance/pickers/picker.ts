import type { Node } from '../nodes/node.js';
import type { Selector } from '../nodes/selector.js';
import type { Candidates } from './candidates.js';

/** The input of a pick. The call itself implements it, so that a pick allocates no memory. */
export interface PickArgs {
  readonly now: number;
  readonly selector: Selector;
  /** With `consistent-hash`, the same key goes to the same instance; null: any instance. */
  readonly hashKey: string | null;
  /** The nodes on which the call failed before. */
  readonly tried: Node | null;
  readonly triedToo: Node | null;
  /** Whether the call may serve as the probe of an ejected instance. `once`: only after an answered ping. */
  readonly probes: 'repeatable' | 'once' | 'never';
  /** Set by `pick`: this call is the single probe of its node, and `endProbe` has to be called at its end. */
  isProbe: boolean;
}

/**
 * Picks the instance for a call from several of the same tier; it can be combined with any `Load`. Each balancer has its own, which may
 * have state. It runs for each attempt: it should allocate no memory and check only a few nodes.
 */
export interface Picker {
  /** A node for which `isAvailable` is true; null only if there is none (`findAvailable` checks all). */
  pick<N extends Node>(candidates: Candidates<N>, args: PickArgs): N | null;
}

/** True if this node may take this call. */
export function isAvailable(node: Node, args: PickArgs): boolean {
  return node !== args.tried && node !== args.triedToo && node.admits(args.now);
}

/** Checks all nodes, starting at the index `start`, so that an available node is found if there is one. */
export function findAvailable<N extends Node>(nodes: readonly N[], start: number, args: PickArgs): N | null {
  for (let i = 0; i < nodes.length; i += 1) {
    const node = nodes[(start + i) % nodes.length];
    if (node !== undefined && isAvailable(node, args)) return node;
  }
  return null;
}
