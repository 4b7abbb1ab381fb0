import type { Network } from './network.js';
import type { SimulationPlan } from './plan.js';
import type { RegistryNode } from './registry-node.js';
import type { Place, ClientProcess } from './client-process.js';
import type { World } from './world.js';

/** What the rules observe: everything, from outside. */
export interface SimulationView {
  readonly plan: SimulationPlan;
  readonly world: World;
  readonly network: Network;
  readonly registry: RegistryNode;
  readonly places: readonly Place[];
  /** The process that runs at each place now. */
  readonly clients: ReadonlyMap<Place, ClientProcess>;
  /** Every process that ever ran, by instance id. */
  readonly known: ReadonlyMap<string, ClientProcess>;
  /** Faults that have begun and not ended. */
  readonly activeFaults: number;
  /** When the last fault began or ended, or a process changed. */
  readonly changedAt: number;
  /** Virtual ms since the faults could begin. */
  readonly now: number;
}
