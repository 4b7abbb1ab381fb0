import { expect } from 'vitest';
import type { TownPlan } from './plan.js';
import type { Tenant } from './tenant.js';
import { Town } from './town.js';

export const SECOND = 1_000;
export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
/** With 5 s beats: 2, 3 and 6 intervals + timeout, each with a sweep on top. */
export const UNHEALTHY_BY = 12.5 * SECOND;
export const CRITICAL_BY = 17.5 * SECOND;
export const LAST_CRITICAL_BY = 32.5 * SECOND;
/** After everything is healed: 1.2 intervals, and what an extra call takes. */
export const HEALED_BY = 7 * SECOND;

/** Three of `orders` and one caller, but for what is said. */
export function aTown(plan: Partial<TownPlan>): Town {
  return new Town({ seed: 11, services: { orders: 3 }, faults: [], ...plan });
}

/** Lives on until `ms`, with nothing broken on the way. */
export async function at(town: Town, ms: number): Promise<void> {
  await town.until(ms);
  expect(town.ledger.violations).toEqual([]);
}

/** Who lives at a place. */
export function tenantAt(town: Town, name: string): Tenant {
  const [tenant] = town.tenantsOf(name);
  if (tenant === undefined) throw new Error(`There is nobody at ${name}.`);
  return tenant;
}

/** What the registry says of a place, as `STATE REASON`; `gone` when it lists nobody there. */
export function stateOf(town: Town, name: string): string {
  const instance = town.registry.registry?.instance(tenantAt(town, name).id ?? '');
  return instance?.ok === true ? `${instance.value.state} ${instance.value.reason.code}` : 'gone';
}

/** What the registry says of all instances of a service: how many are in which state. */
export function states(town: Town, service = 'orders'): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { state } of town.ledger.view(service)?.instances ?? []) counts[state] = (counts[state] ?? 0) + 1;
  return counts;
}

/** How many a caller might call. */
export function knownTo(town: Town, caller = 'gateway-1', service = 'orders'): number {
  return tenantAt(town, caller).callable(service).length;
}

/** Was this ever decided? */
export function decided(town: Town, what: string): boolean {
  return town.ledger.trace.some((line) => line.includes(what));
}
