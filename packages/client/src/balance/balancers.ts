import type { Random } from '@rollcall/core';
import { InFlight, PeakEwma } from './nodes/loads.js';
import type { Load, TypicalLatency } from './nodes/loads.js';
import { HashRing } from './pickers/hash-ring.js';
import type { Picker } from './pickers/picker.js';
import { AtRandom, PowerOfTwo, RoundRobin } from './pickers/pickers.js';
import { WeightedRoundRobin } from './pickers/weighted-round-robin.js';

/**
 * A load balancing policy: a picker and a load for each service and protocol. Implement it for a custom balancer and pass that to the
 * option `calls.balancer` in place of a name:
 *
 * ```ts
 * const newestFirst: Balancing = {
 *   name: 'newest-first',
 *   picker: () => ({
 *     pick(candidates, args) {
 *       let newest = null;
 *       for (const node of candidates.nodes) {
 *         if (isAvailable(node, args) && (newest === null || node.instance.version > newest.instance.version)) newest = node;
 *       }
 *       return newest;
 *     },
 *   }),
 *   load: () => ({ cost: (_slot, _now, inFlight) => inFlight, observe() {}, forget() {} }),
 * };
 * new Rollcall({ calls: { services: { orders: { balancer: newestFirst } } } });
 * ```
 *
 * Tiers, zones, limits, ejection and probes work as with the built-in balancers: a picker chooses among the remaining nodes. If a custom
 * balancer throws or picks a node that it must not pick, this is logged once, and the call goes to the first available node.
 */
export interface Balancing {
  /** The name that `explain` shows. Default `own`. */
  readonly name?: string;
  /**
   * True if the picker has to see all instances of a tier. Then zones and subsets are not used: the same key goes to the same instance only
   * if every caller chooses among the same ones. Default: false.
   */
  readonly seesAll?: boolean;
  picker(random: Random): Picker;
  /** `typical`: the typical round trip of the service, for an instance without measurements. */
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
  // two, as in Envoy's LEAST_REQUEST: a minimum over all nodes would send the calls of all callers to the same instance
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
