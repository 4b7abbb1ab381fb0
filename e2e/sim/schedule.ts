import * as fc from 'fast-check';
import { FAULTS } from './faults.js';
import type { Fault, FaultKind } from './faults.js';
import type { SimulationPlan } from './plan.js';

/** The sizes that random plans choose from: small ones, since few instances are enough to show a bug. */
const SHAPES: readonly Readonly<Record<string, number>>[] = [
  { orders: 1 },
  { orders: 2 },
  { orders: 3 },
  { orders: 3, billing: 1 },
  { orders: 4, billing: 2 },
  { orders: 12 },
];
/** The number of machines on which the instances run; most often each has its own. */
const HOSTS: readonly (number | undefined)[] = [undefined, undefined, undefined, 2, 3];
const ALL_KINDS = Object.keys(FAULTS) as FaultKind[];
/** An operator's removal is final, ghosts have no process, a closed port may be taken, and `nothing` changes nothing. */
const EXCLUDED_KINDS: readonly FaultKind[] = ['operator', 'ghosts', 'half', 'nothing'];
const RANDOM_KINDS = ALL_KINDS.filter((kind) => !EXCLUDED_KINDS.includes(kind));
/** From a moment to longer than any timeout. */
const DURATIONS_MS = [5, 50, 500, 2_000, 5_000, 8_000, 13_000, 18_000, 25_000, 40_000, 70_000, 130_000];
const MAX_START_MS = 90_000;
const MAX_FAULTS = 8;

/** The faults and targets that may occur; whatever is left out is chosen from all there is. */
export interface PlanConstraints {
  readonly kinds?: readonly FaultKind[];
  readonly targets?: readonly string[];
  readonly durationsMs?: readonly number[];
  /** The parts of the plan that are fixed. */
  readonly sim?: Partial<Omit<SimulationPlan, 'faults'>>;
  readonly always?: readonly Fault[];
}

/** Random plans. They shrink to few faults, early and short. */
export function plans(constraints: PlanConstraints = {}): fc.Arbitrary<SimulationPlan> {
  const { kinds = RANDOM_KINDS, durationsMs = DURATIONS_MS } = constraints;
  const plan = fc.record({
    seed: fc.nat(),
    services: fc.constantFrom(...SHAPES),
    isDurable: fc.boolean(),
    isTwofold: fc.boolean(),
    faults: fc.array(faultsOf(kinds, durationsMs), { minLength: 1, maxLength: MAX_FAULTS }),
  });
  return plan.map(({ faults, ...drawn }) => {
    // derived, not drawn, so that a seed that was printed before still makes the same plans but for this
    const hosts = HOSTS[drawn.seed % HOSTS.length];
    const sim = { ...drawn, ...(hosts === undefined ? {} : { hosts }), ...constraints.sim };
    const known = constraints.targets ?? targetsOf(sim.services);
    const chosen = faults.map(({ place, ...fault }) => ({
      ...fault,
      target: known[place % known.length] ?? 'registry',
    }));
    return { ...sim, faults: [...(constraints.always ?? []), ...chosen] };
  });
}

function faultsOf(
  kinds: readonly FaultKind[],
  durationsMs: readonly number[],
): fc.Arbitrary<Omit<Fault, 'target'> & { readonly place: number }> {
  return fc.record({
    kind: fc.constantFrom(...kinds),
    place: fc.nat(9),
    at: fc.nat(MAX_START_MS / 100).map((tenths) => 100 * tenths),
    forMs: fc.constantFrom(...durationsMs),
  });
}

/** The registry, a service, all, a caller, or one place. */
function targetsOf(services: Readonly<Record<string, number>>): readonly string[] {
  const places = Object.entries(services).flatMap(([service, count]) =>
    Array.from({ length: count }, (_, index) => `${service}-${index + 1}`),
  );
  return ['registry', 'orders', 'all', 'gateway-1', ...places];
}
