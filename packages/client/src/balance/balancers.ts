import type { Random } from '@rollcall/core';
import type { Picker } from './balancer.js';
import { InFlight, PeakEwma } from './loads.js';
import type { TypicalLatency } from './loads.js';
import type { Load } from './node.js';
import { PowerOfTwo, RoundRobin } from './pickers.js';

/** A way to balance: one picker for each balancer, one load for each node. */
export interface Balancing {
  picker(random: Random): Picker;
  load(typical: TypicalLatency): Load;
}

export const BALANCER_NAMES = ['p2c-peak-ewma', 'round-robin'] as const;
export type BalancerName = (typeof BALANCER_NAMES)[number];

/** What a user can choose, by name: a picker × a load. Every row passes the contract suite. */
export const BALANCERS: Readonly<Record<BalancerName, Balancing>> = {
  'p2c-peak-ewma': {
    picker: (random) => new PowerOfTwo(random),
    load: (typical) => new PeakEwma(typical),
  },
  'round-robin': {
    picker: (random) => new RoundRobin(random),
    load: () => new InFlight(),
  },
};
