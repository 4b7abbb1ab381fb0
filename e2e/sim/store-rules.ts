import type { AdminState, Tombstone } from '@rollcall/core';
import type { Contents } from '@rollcall/registry';
import type { Case, Ledger } from './ledger.js';
import type { Request } from './registry-node.js';
import type { Scene } from './scene.js';

/** S11: a registration, or an operator's word, that was acknowledged survives any death of a registry whose store does. */
export class StoreRules {
  readonly #scene: Scene;
  readonly #ledger: Ledger;
  /** Acknowledged, and not removed since. */
  readonly #acknowledged = new Set<string>();
  /** Who is to get no calls until an operator says otherwise. */
  readonly #amended = new Map<string, AdminState>();

  constructor(of: Case) {
    this.#scene = of.scene;
    this.#ledger = of.ledger;
  }

  saw(request: Request, isAccepted: boolean): void {
    if (isAccepted && request.route === 'register') this.#acknowledged.add(request.registration.id);
  }

  /** ENABLED: it ends by itself, or has ended. */
  amended(id: string, admin: AdminState): void {
    if (admin === 'ENABLED') this.#amended.delete(id);
    else this.#amended.set(id, admin);
  }

  removed({ id }: Tombstone): void {
    this.#amended.delete(id);
    this.#acknowledged.delete(id);
  }

  /** `found`: what the new life found in its store. A removal that nobody was told of may be there, too. */
  restarted({ tombstones }: Contents): void {
    const buried = new Set(tombstones.map(({ id }) => id));
    const isDurable = this.#scene.plan.isDurable === true;
    for (const id of this.#acknowledged) {
      const answer = this.#scene.registry.registry?.instance(id);
      const isThere = answer?.ok === true;
      if (isDurable && !isThere && !buried.has(id)) {
        this.#ledger.report('S11', `${id} was acknowledged, and the restarted registry does not know it`);
      }
      const admin = this.#amended.get(id);
      if (isDurable && isThere && admin !== undefined && answer.value.admin !== admin) {
        this.#ledger.report('S11', `${id} was to be ${admin}, and is ${answer.value.admin} since the restart`);
      }
      if (!isThere) this.#acknowledged.delete(id);
    }
    if (!isDurable) this.#amended.clear();
  }
}
