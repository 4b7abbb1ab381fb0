import * as fc from 'fast-check';
import { FAULTS } from './faults.js';
import type { Fault, FaultKind } from './faults.js';
import type { TownPlan } from './plan.js';

/** Towns that chance chooses from: small ones, since what goes wrong goes wrong with few. */
const SHAPES: readonly Readonly<Record<string, number>>[] = [
  { orders: 1 },
  { orders: 2 },
  { orders: 3 },
  { orders: 3, billing: 1 },
  { orders: 4, billing: 2 },
  { orders: 12 },
];
/** On how many machines the instances live; most often each has its own. */
const HOSTS: readonly (number | undefined)[] = [undefined, undefined, undefined, 2, 3];
const ALL_KINDS = Object.keys(FAULTS) as FaultKind[];
/** What an operator removes stays removed, ghosts are nobody, a closed port may be taken, and what changes nothing is no fault. */
const NOT_BY_CHANCE: readonly FaultKind[] = ['operator', 'ghosts', 'half', 'nothing'];
const BY_CHANCE = ALL_KINDS.filter((kind) => !NOT_BY_CHANCE.includes(kind));
/** From the blink of an eye to longer than anything waits. */
const DURATIONS_MS = [5, 50, 500, 2_000, 5_000, 8_000, 13_000, 18_000, 25_000, 40_000, 70_000, 130_000];
const LATEST_MS = 90_000;
const MOST_FAULTS = 8;

/** What may happen, and to whom; whatever is left out is chosen from all there is. */
export interface Diet {
  readonly kinds?: readonly FaultKind[];
  readonly targets?: readonly string[];
  readonly durationsMs?: readonly number[];
  /** What is not left to chance. */
  readonly town?: Partial<Omit<TownPlan, 'faults'>>;
  readonly always?: readonly Fault[];
}

/** A town and what happens to it, by chance. It shrinks to few faults, early and short. */
export function plans(diet: Diet = {}): fc.Arbitrary<TownPlan> {
  const { kinds = BY_CHANCE, durationsMs = DURATIONS_MS } = diet;
  const plan = fc.record({
    seed: fc.nat(),
    services: fc.constantFrom(...SHAPES),
    isDurable: fc.boolean(),
    isTwofold: fc.boolean(),
    faults: fc.array(faultsOf(kinds, durationsMs), { minLength: 1, maxLength: MOST_FAULTS }),
  });
  return plan.map(({ faults, ...drawn }) => {
    // not drawn on its own, so that a seed that was once printed still makes the same plans but for this
    const hosts = HOSTS[drawn.seed % HOSTS.length];
    const town = { ...drawn, ...(hosts === undefined ? {} : { hosts }), ...diet.town };
    const known = diet.targets ?? targetsOf(town.services);
    const chosen = faults.map(({ place, ...fault }) => ({
      ...fault,
      target: known[place % known.length] ?? 'registry',
    }));
    return { ...town, faults: [...(diet.always ?? []), ...chosen] };
  });
}

function faultsOf(
  kinds: readonly FaultKind[],
  durationsMs: readonly number[],
): fc.Arbitrary<Omit<Fault, 'target'> & { readonly place: number }> {
  return fc.record({
    kind: fc.constantFrom(...kinds),
    place: fc.nat(9),
    at: fc.nat(LATEST_MS / 100).map((tenths) => 100 * tenths),
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
