import type { Network } from './network.js';
import type { TownPlan } from './plan.js';
import type { RegistryNode } from './registry-node.js';
import type { Place, Tenant } from './tenant.js';
import type { World } from './world.js';

/** What there is to see: everything, from above. */
export interface Scene {
  readonly plan: TownPlan;
  readonly world: World;
  readonly network: Network;
  readonly registry: RegistryNode;
  readonly places: readonly Place[];
  /** Who lives at each place now. */
  readonly tenants: ReadonlyMap<Place, Tenant>;
  /** Everybody who ever lived, by instance id. */
  readonly known: ReadonlyMap<string, Tenant>;
  /** Faults that have begun and not ended. */
  readonly activeFaults: number;
  /** When something was last done to anybody. */
  readonly changedAt: number;
  /** Virtual ms since the faults could begin. */
  readonly now: number;
}
