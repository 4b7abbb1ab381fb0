import type { Node } from '../nodes/node.js';
import type { Selector } from '../nodes/selector.js';
import type { Candidates } from './candidates.js';

/** The input of a pick. The call itself implements it, so that a pick allocates nothing. */
export interface Ask {
  readonly now: number;
  readonly selector: Selector;
  /** The same key goes to the same instance, with `consistent-hash`; null: any instance. */
  readonly hashKey: string | null;
  /** The nodes where it failed already. */
  readonly tried: Node | null;
  readonly triedToo: Node | null;
  /** Whether the call may probe an ejected instance. `once`: only after a ping was answered. Read only when needed. */
  readonly probes: 'repeatable' | 'once' | 'never';
  /** Set by `pick`: this call is the one probe of its node, and `endProbe` has to be called when it is over. */
  isProbe: boolean;
}

/**
 * Which of several instances that are as good as each other gets the call; the `Load` is chosen independently. One for each
 * balancer; it may have state of its own. Called for each attempt: it should allocate nothing and examine a few nodes
 * only.
 */
export interface Picker {
  /** A node that `isAble`; null if there is none, and only then (`firstAble` examines all). */
  pick<N extends Node>(candidates: Candidates<N>, ask: Ask): N | null;
}

/** True if this node may take this call. */
export function isAble(node: Node, ask: Ask): boolean {
  return node !== ask.tried && node !== ask.triedToo && node.admits(ask.now);
}

/** Examines all from the index `start` on, so that a node that can take the call is found if there is one. */
export function firstAble<N extends Node>(nodes: readonly N[], start: number, ask: Ask): N | null {
  for (let i = 0; i < nodes.length; i += 1) {
    const node = nodes[(start + i) % nodes.length];
    if (node !== undefined && isAble(node, ask)) return node;
  }
  return null;
}
