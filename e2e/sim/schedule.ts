import fc from 'fast-check';
import { FAULTS } from './faults.js';
import type { Fault, FaultKind } from './faults.js';
import type { TownPlan } from './town.js';

/** Towns that chance chooses from: small ones, since what goes wrong goes wrong with few. */
const SHAPES: readonly Readonly<Record<string, number>>[] = [
  { orders: 1 },
  { orders: 2 },
  { orders: 3 },
  { orders: 3, billing: 1 },
  { orders: 4, billing: 2 },
  { orders: 12 },
];
const KINDS = Object.keys(FAULTS) as FaultKind[];
/** They last for ever: what comes after them cannot be judged by the same rules. */
const NOT_BY_CHANCE: readonly FaultKind[] = ['operator', 'mute'];
/** From the blink of an eye to longer than anything waits. */
const DURATIONS_MS = [5, 50, 500, 2_000, 5_000, 8_000, 13_000, 18_000, 25_000, 40_000, 70_000, 130_000];
const LATEST_MS = 90_000;

/** A town and what happens to it, by chance. It shrinks to few faults, early and short. */
export function plans(kinds: readonly FaultKind[] = KINDS.filter((kind) => !NOT_BY_CHANCE.includes(kind))): fc.Arbitrary<TownPlan> {
  return fc
    .record({
      seed: fc.nat(),
      services: fc.constantFrom(...SHAPES),
      isDurable: fc.boolean(),
      isTwofold: fc.boolean(),
      faults: fc.array(faultsOf(kinds), { minLength: 1, maxLength: 6 }),
    })
    .map((plan) => ({ ...plan, faults: plan.faults.map(({ place, ...fault }) => ({ ...fault, target: targetOf(plan.services, place) })) }));
}

function faultsOf(kinds: readonly FaultKind[]): fc.Arbitrary<Omit<Fault, 'target'> & { readonly place: number }> {
  return fc.record({
    kind: fc.constantFrom(...kinds),
    place: fc.nat(9),
    at: fc.nat(LATEST_MS / 100).map((tenths) => 100 * tenths),
    forMs: fc.constantFrom(...DURATIONS_MS),
  });
}

/** A number chooses one place, a service, all, or the registry. */
function targetOf(services: Readonly<Record<string, number>>, place: number): string {
  const names = Object.entries(services).flatMap(([service, count]) =>
    Array.from({ length: count }, (_, index) => `${service}-${index + 1}`),
  );
  const targets = ['registry', 'orders', 'all', ...names];
  return targets[place % targets.length]!;
}
