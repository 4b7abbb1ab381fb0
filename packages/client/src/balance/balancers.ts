import type { Random } from '@rollcall/core';
import { InFlight, PeakEwma } from './nodes/loads.js';
import type { Load, TypicalLatency } from './nodes/loads.js';
import { HashRing } from './pickers/hash-ring.js';
import type { Picker } from './pickers/picker.js';
import { AtRandom, PowerOfTwo, RoundRobin } from './pickers/pickers.js';
import { WeightedRoundRobin } from './pickers/weighted-round-robin.js';

/**
 * A way to balance: a picker and a load for each service and protocol. The port for a custom one, which the option
 * `calls.balancer` takes as it takes a name:
 *
 * ```ts
 * const newestFirst: Balancing = {
 *   name: 'newest-first',
 *   picker: () => ({
 *     pick(candidates, ask) {
 *       let newest = null;
 *       for (const node of candidates.nodes) {
 *         if (isAble(node, ask) && (newest === null || node.instance.version > newest.instance.version)) newest = node;
 *       }
 *       return newest;
 *     },
 *   }),
 *   load: () => ({ cost: (_slot, _now, inFlight) => inFlight, observe() {}, forget() {} }),
 * };
 * new Rollcall({ calls: { services: { orders: { balancer: newestFirst } } } });
 * ```
 *
 * Tiers, zones, limits, ejection and probes stay as they are: a picker chooses among those that are left. What an own
 * one throws, or picks that may not be picked, is logged once, and the call goes to the first node that is able.
 */
export interface Balancing {
  /** The name that `explain` shows. Default `own`. */
  readonly name?: string;
  /**
   * Does it have to see all instances of a tier? Then zones and subsets are left out: the same key goes to the same
   * instance only if every caller chooses among the same ones. Default: no.
   */
  readonly seesAll?: boolean;
  picker(random: Random): Picker;
  /** `typical`: what a round trip of the service takes, for an instance that was not measured yet. */
  load(typical: TypicalLatency): Load;
}

export const BALANCER_NAMES = [
  'p2c-peak-ewma',
  'least-loaded',
  'round-robin',
  'random',
  'weighted-round-robin',
  'consistent-hash',
] as const;
export type BalancerName = (typeof BALANCER_NAMES)[number];
/** The values of the option `balancer`. */
export type BalancerChoice = BalancerName | Balancing;

/** The balancers that a user can choose by name: a picker × a load. Every row passes the contract suite. */
export const BALANCERS: Readonly<Record<BalancerName, Balancing>> = {
  'p2c-peak-ewma': {
    picker: (random) => new PowerOfTwo(random),
    load: (typical) => new PeakEwma(typical),
  },
  // of two, as Envoy's LEAST_REQUEST: a minimum over all would send the calls of all callers to the same instance
  'least-loaded': {
    picker: (random) => new PowerOfTwo(random),
    load: () => new InFlight(),
  },
  'round-robin': {
    picker: (random) => new RoundRobin(random),
    load: () => new InFlight(),
  },
  random: {
    picker: (random) => new AtRandom(random),
    load: () => new InFlight(),
  },
  'weighted-round-robin': {
    picker: (random) => new WeightedRoundRobin(random),
    load: () => new InFlight(),
  },
  'consistent-hash': {
    seesAll: true,
    picker: (random) => new HashRing(random),
    load: (typical) => new PeakEwma(typical),
  },
};

export function balancerName(choice: BalancerChoice): string {
  return typeof choice === 'string' ? choice : (choice.name ?? 'own');
}

export function isBalancerChoice(received: unknown): received is BalancerChoice {
  if (typeof received === 'string') return BALANCER_NAMES.some((name) => name === received);
  if (typeof received !== 'object' || received === null) return false;
  return (
    'picker' in received &&
    typeof received.picker === 'function' &&
    'load' in received &&
    typeof received.load === 'function'
  );
}
