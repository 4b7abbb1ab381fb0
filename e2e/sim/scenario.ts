import { expect } from 'vitest';
import type { SimulationPlan } from './plan.js';
import type { ClientProcess } from './client-process.js';
import { Simulation } from './simulation.js';

export const SECOND = 1_000;
export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
/** With 5 s beats: 2, 3 and 6 intervals + timeout, each with a sweep on top. */
export const UNHEALTHY_AT = 12.5 * SECOND;
export const CRITICAL_BY = 17.5 * SECOND;
export const LAST_CRITICAL_BY = 32.5 * SECOND;
/** After the end of all faults: 1.2 intervals, and the duration of an extra probe. */
export const HEALED_AFTER = 7 * SECOND;

/** Three of `orders` and one caller, unless the plan says otherwise. */
export function newSimulation(plan: Partial<SimulationPlan>): Simulation {
  return new Simulation({ seed: 11, services: { orders: 3 }, faults: [], ...plan });
}

/** Runs until `ms`, without a violation. */
export async function runUntil(sim: Simulation, ms: number): Promise<void> {
  await sim.runUntil(ms);
  expect(sim.ledger.violations).toEqual([]);
}

/** The process at a place. */
export function clientAt(sim: Simulation, name: string): ClientProcess {
  const [client] = sim.clientsOf(name);
  if (client === undefined) throw new Error(`No process runs at ${name}.`);
  return client;
}

/** The registry's record of a place, as `STATE REASON`; `gone` when it lists no instance there. */
export function stateOf(sim: Simulation, name: string): string {
  const instance = sim.registry.registry?.instance(clientAt(sim, name).id ?? '');
  return instance?.ok === true ? `${instance.value.state} ${instance.value.reason.code}` : 'gone';
}

/** The registry's view of all instances of a service: the number in each state. */
export function states(sim: Simulation, service = 'orders'): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { state } of sim.ledger.view(service)?.instances ?? []) counts[state] = (counts[state] ?? 0) + 1;
  return counts;
}

/** The number of instances that a caller might call. */
export function countKnown(sim: Simulation, caller = 'gateway-1', service = 'orders'): number {
  return clientAt(sim, caller).callable(service).length;
}

/** Whether the registry ever decided this. */
export function hasDecided(sim: Simulation, what: string): boolean {
  return sim.ledger.trace.some((line) => line.includes(what));
}
