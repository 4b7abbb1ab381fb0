import type { Tombstone } from '@rollcall/core';
import type { Contents } from '@rollcall/registry';
import type { RuleContext, Ledger } from './ledger.js';
import type { Request } from './registry-node.js';
import type { SimulationView } from './simulation-view.js';
import type { Truth } from './truth.js';

/** How long the registry remembers the owner of an id after its removal. */
const OWNER_RETENTION_MS = 600_000;
/** An instance that alone answers at its address for this long and still loses it was robbed. */
const ANSWERING_MS = 3_000;

/**
 * S3: one identity, one owner. No other process takes an id, acts in its name, or takes the address of a live instance.
 */
export class IdentityRules {
  readonly #simulation: SimulationView;
  readonly #truth: Truth;
  readonly #ledger: Ledger;
  /** The secret that was accepted last for an id, and when. */
  readonly #owners = new Map<string, { readonly secret: string; readonly at: number }>();

  constructor(of: RuleContext) {
    this.#simulation = of.simulation;
    this.#truth = of.truth;
    this.#ledger = of.ledger;
  }

  /** `found`: what the new registry process remembers. A secret that was lost with the memory protects nothing. */
  restarted({ instances, tombstones }: Contents): void {
    const ids = new Set([...instances.map(({ record }) => record.id), ...tombstones.map(({ id }) => id)]);
    for (const id of this.#owners.keys()) if (!ids.has(id)) this.#owners.delete(id);
  }

  observed(request: Request, isAccepted: boolean): void {
    if (!isAccepted) return;
    if (request.route === 'register') this.#recordOwner(request.registration.id, request.registration.secret ?? '');
    else if (request.route === 'watch') this.#recordLineOwner(request.request.line);
    else if ('proof' in request) this.#recordOwner(request.proof.id, request.proof.secret);
  }

  /** Whether this registry process knows the owner of the id. */
  isOwned(id: string): boolean {
    const owner = this.#owners.get(id);
    return owner !== undefined && this.#simulation.world.now - owner.at < OWNER_RETENTION_MS;
  }

  /** When a request with its secret last arrived. */
  lastReceivedAt(id: string): number {
    return this.#owners.get(id)?.at ?? -Infinity;
  }

  removed({ id, reason }: Tombstone): void {
    if (reason.code !== 'SUPERSEDED' && reason.code !== 'ADDRESS_TAKEN') return;
    const client = this.#simulation.known.get(id);
    if (client === undefined || !this.#truth.hasWorked(this.#truth.of(client).inbound, ANSWERING_MS)) return;
    this.#ledger.report('S3', `${id} was removed (${reason.code}) though it alone answers at its address`);
  }

  #recordLineOwner(line: { readonly id: string; readonly secret: string | null } | null): void {
    if (line !== null) this.#recordOwner(line.id, line.secret ?? '');
  }

  #recordOwner(id: string, secret: string): void {
    const owner = this.#owners.get(id);
    if (owner !== undefined && owner.secret !== secret && this.isOwned(id)) {
      this.#ledger.report('S3', `the registry accepts two secrets for ${id}`);
      return;
    }
    this.#owners.set(id, { secret, at: this.#simulation.world.now });
  }
}
