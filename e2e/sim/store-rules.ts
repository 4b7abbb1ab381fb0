import type { AdminState, Tombstone } from '@rollcall/core';
import type { Contents } from '@rollcall/registry';
import type { RuleContext, Ledger } from './ledger.js';
import type { Request, RequestOutcome } from './registry-node.js';
import type { SimulationView } from './simulation-view.js';

/**
 * S11: what was acknowledged survives any crash of a registry with a durable store: a registration, an operator's
 * setting, a drain, a removal by the instance itself or by an operator.
 */
export class StoreRules {
  readonly #simulation: SimulationView;
  readonly #ledger: Ledger;
  /** Acknowledged, and not removed since. */
  readonly #acknowledged = new Set<string>();
  /** Instances that get no calls until an operator changes that. */
  readonly #adminChanged = new Map<string, AdminState>();
  /** Instances whose drain was acknowledged as stored. */
  readonly #drained = new Set<string>();
  /** Instances whose removal was acknowledged. */
  readonly #ended = new Set<string>();

  constructor(of: RuleContext) {
    this.#simulation = of.simulation;
    this.#ledger = of.ledger;
  }

  observed(request: Request, outcome: RequestOutcome): void {
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
  adminChanged(id: string, admin: AdminState): void {
    if (admin === 'ENABLED') this.#adminChanged.delete(id);
    else this.#adminChanged.set(id, admin);
  }

  ended(id: string): void {
    this.#ended.add(id);
  }

  removed({ id }: Tombstone): void {
    this.#adminChanged.delete(id);
    this.#acknowledged.delete(id);
    this.#drained.delete(id);
  }

  /** `found`: what the new process found in its store. A removal that was never acknowledged may be there, too. */
  restarted({ tombstones }: Contents): void {
    if (this.#simulation.plan.isDurable === true) this.#compare(new Set(tombstones.map(({ id }) => id)));
    else {
      this.#adminChanged.clear();
      this.#drained.clear();
      this.#ended.clear();
    }
    for (const id of this.#acknowledged) if (this.#recordOf(id) === null) this.#acknowledged.delete(id);
  }

  #compare(tombstones: ReadonlySet<string>): void {
    for (const id of this.#acknowledged) {
      const record = this.#recordOf(id);
      if (record === null && !tombstones.has(id)) {
        this.#ledger.report('S11', `${id} was acknowledged, and the restarted registry does not know it`);
      }
      const admin = this.#adminChanged.get(id);
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
    const answer = this.#simulation.registry.registry?.instance(id);
    return answer?.ok === true ? answer.value : null;
  }
}

/** A drain that the store did not take is acknowledged as not stored, and promises nothing. */
function isStored({ value }: RequestOutcome): boolean {
  return !(typeof value === 'object' && value !== null && 'stored' in value && value.stored === false);
}
