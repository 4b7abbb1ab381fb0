import type { Fault } from './faults.js';
import type { Network } from './network.js';
import type { Place } from './client-process.js';
import type { Machine } from './world.js';

/** A registry, services, and callers that watch them, as data: a run is described by one line. */
export interface SimulationPlan {
  readonly seed: number;
  /** Instances of each service. */
  readonly services: Readonly<Record<string, number>>;
  /** Processes that only watch. Default 1. */
  readonly gateways?: number;
  /** Whether the registry's store survives a crash. Default no. */
  readonly isDurable?: boolean;
  /** Everything on one machine. Default: each place has its own. */
  readonly isLaptop?: boolean;
  /** The number of machines that the instances share, each with a port of its own. Default: each place has its own. */
  readonly hosts?: number;
  /** Each instance has an HTTP endpoint, too. */
  readonly isTwofold?: boolean;
  /** All instances of a service share one machine and port (cluster workers). */
  readonly isClustered?: boolean;
  /** A fault with `at` ≤ -20,000 is active before anything starts. */
  readonly faults: readonly Fault[];
  /** How long the run continues after the last fault has ended, ms. Default 60,000. */
  readonly calmMs?: number;
}

/** A fault of this duration does not end within a run. */
export const FOREVER_MS = 1_000_000_000;

/** The places of a plan, on their machines. */
export function placesOf(plan: SimulationPlan, network: Network): Place[] {
  const names = Object.keys(plan.services);
  const places: Place[] = [];
  let number = 0;
  for (const [service, count] of Object.entries(plan.services)) {
    for (let index = 1; index <= count; index += 1) {
      number += 1;
      const machine = machineOf(plan, network, { service, index, number });
      const port = plan.isLaptop === true || plan.hosts !== undefined ? 3_000 + 10 * number : 3_000;
      const tcp = { protocol: 'tcp' as const, port };
      const http = { protocol: 'http' as const, port: port + 1 };
      const endpoints = plan.isTwofold === true ? [tcp, http] : [tcp];
      // every other one calls a service itself, so that its line carries a feed, too
      const watches = number % 2 === 0 ? names.slice(0, 1) : [];
      const isWorker = plan.isClustered === true;
      places.push({ name: `${service}-${index}`, machine, service, endpoints, watches, isWorker });
    }
  }
  for (let index = 1; index <= (plan.gateways ?? 1); index += 1) {
    const machine =
      plan.isLaptop === true
        ? network.machine('laptop', '10.0.0.1')
        : network.machine(`gateway-${index}`, `10.0.2.${index}`);
    places.push({ name: `gateway-${index}`, machine, service: null, endpoints: [], watches: names });
  }
  return places;
}

/** `index` within a service, `number` within all. */
interface PlaceIndex {
  readonly service: string;
  readonly index: number;
  readonly number: number;
}

function machineOf(plan: SimulationPlan, network: Network, { service, index, number }: PlaceIndex): Machine {
  if (plan.isLaptop === true) return network.machine('laptop', '10.0.0.1');
  if (plan.hosts !== undefined) {
    const host = 1 + ((number - 1) % plan.hosts);
    return network.machine(`host-${host}`, `10.0.1.${host}`);
  }
  if (plan.isClustered !== true) return network.machine(`${service}-${index}`, `10.0.1.${number}`);
  return network.machine(service, `10.0.1.${Object.keys(plan.services).indexOf(service) + 1}`);
}
