import type { Network } from './network.js';
import type { SimulationPlan } from './plan.js';
import type { RegistryNode } from './registry-node.js';
import type { Place, Tenant } from './tenant.js';
import type { World } from './world.js';

/** What the rules observe: everything, from outside. */
export interface Scene {
  readonly plan: SimulationPlan;
  readonly world: World;
  readonly network: Network;
  readonly registry: RegistryNode;
  readonly places: readonly Place[];
  /** The process that runs at each place now. */
  readonly tenants: ReadonlyMap<Place, Tenant>;
  /** Every process that ever ran, by instance id. */
  readonly known: ReadonlyMap<string, Tenant>;
  /** Faults that have begun and not ended. */
  readonly activeFaults: number;
  /** When the last fault began or ended, or a process changed. */
  readonly changedAt: number;
  /** Virtual ms since the faults could begin. */
  readonly now: number;
}
