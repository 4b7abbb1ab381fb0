import type { AdminState, Tombstone } from '@rollcall/core';
import type { Contents } from '@rollcall/registry';
import type { Case, Ledger } from './ledger.js';
import type { Request, RequestOutcome } from './registry-node.js';
import type { Scene } from './scene.js';

/**
 * S11: what was acknowledged survives any death of a registry whose store does: a registration, an operator's word, a drain, a removal by
 * the instance itself or by an operator.
 */
export class StoreRules {
  readonly #scene: Scene;
  readonly #ledger: Ledger;
  /** Acknowledged, and not removed since. */
  readonly #acknowledged = new Set<string>();
  /** Who is to get no calls until an operator says otherwise. */
  readonly #amended = new Map<string, AdminState>();
  /** Who drains, as was acknowledged and said to be stored. */
  readonly #drained = new Set<string>();
  /** Who was removed, as was acknowledged. */
  readonly #ended = new Set<string>();

  constructor(of: Case) {
    this.#scene = of.scene;
    this.#ledger = of.ledger;
  }

  saw(request: Request, outcome: RequestOutcome): void {
    if (!outcome.ok) return;
    if (request.route === 'register') {
      this.#acknowledged.add(request.registration.id);
      // its tombstone was forgotten
      this.#ended.delete(request.registration.id);
    }
    if (request.route === 'drain' && isStored(outcome)) this.#drained.add(request.proof.id);
    if (request.route === 'leave') this.ended(request.proof.id);
  }

  /** ENABLED: it ends by itself, or has ended. */
  amended(id: string, admin: AdminState): void {
    if (admin === 'ENABLED') this.#amended.delete(id);
    else this.#amended.set(id, admin);
  }

  ended(id: string): void {
    this.#ended.add(id);
  }

  removed({ id }: Tombstone): void {
    this.#amended.delete(id);
    this.#acknowledged.delete(id);
    this.#drained.delete(id);
  }

  /** `found`: what the new life found in its store. A removal that nobody was told of may be there, too. */
  restarted({ tombstones }: Contents): void {
    if (this.#scene.plan.isDurable === true) this.#compare(new Set(tombstones.map(({ id }) => id)));
    else {
      this.#amended.clear();
      this.#drained.clear();
      this.#ended.clear();
    }
    for (const id of this.#acknowledged) if (this.#recordOf(id) === null) this.#acknowledged.delete(id);
  }

  #compare(buried: ReadonlySet<string>): void {
    for (const id of this.#acknowledged) {
      const record = this.#recordOf(id);
      if (record === null && !buried.has(id)) {
        this.#ledger.report('S11', `${id} was acknowledged, and the restarted registry does not know it`);
      }
      const admin = this.#amended.get(id);
      if (record !== null && admin !== undefined && record.admin !== admin) {
        this.#ledger.report('S11', `${id} was to be ${admin}, and is ${record.admin} since the restart`);
      }
    }
    for (const id of this.#drained) {
      const { state = 'DEREGISTERING' } = this.#recordOf(id) ?? {};
      if (state !== 'DEREGISTERING') {
        this.#ledger.report('S11', `the drain of ${id} was acknowledged, and it is ${state} since the restart`);
      }
    }
    for (const id of this.#ended) {
      if (this.#recordOf(id) !== null) {
        this.#ledger.report('S11', `the removal of ${id} was acknowledged, and the restarted registry lists it`);
      }
    }
  }

  #recordOf(id: string) {
    const answer = this.#scene.registry.registry?.instance(id);
    return answer?.ok === true ? answer.value : null;
  }
}

/** A drain that the store did not take says so, and promises nothing. */
function isStored({ value }: RequestOutcome): boolean {
  return !(typeof value === 'object' && value !== null && 'stored' in value && value.stored === false);
}
