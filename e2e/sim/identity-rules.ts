import type { Tombstone } from '@rollcall/core';
import type { Contents } from '@rollcall/registry';
import type { Case, Ledger } from './ledger.js';
import type { Request } from './registry-node.js';
import type { Scene } from './scene.js';
import type { Truth } from './truth.js';

/** The registry knows whose id it was for so long after its removal. */
const KEPT_MS = 600_000;
/** Who answers alone at its address for so long, and still loses it, was robbed. */
const ANSWERING_MS = 3_000;

/** S3: one identity, one owner. Nobody else takes an id, speaks for it, or takes the address of somebody who lives there. */
export class IdentityRules {
  readonly #scene: Scene;
  readonly #truth: Truth;
  readonly #ledger: Ledger;
  /** Whose secret was accepted last for an id, and when. */
  readonly #owners = new Map<string, { readonly secret: string; readonly at: number }>();

  constructor(of: Case) {
    this.#scene = of.scene;
    this.#truth = of.truth;
    this.#ledger = of.ledger;
  }

  /** `found`: what the new life remembers. A secret that was lost with the memory protects nothing. */
  restarted({ instances, tombstones }: Contents): void {
    const ids = new Set([...instances.map(({ record }) => record.id), ...tombstones.map(({ id }) => id)]);
    for (const id of this.#owners.keys()) if (!ids.has(id)) this.#owners.delete(id);
  }

  saw(request: Request, isAccepted: boolean): void {
    if (!isAccepted) return;
    if (request.route === 'register') this.#owns(request.registration.id, request.registration.secret ?? '');
    else if (request.route === 'watch') this.#ownsLine(request.request.line);
    else if ('proof' in request) this.#owns(request.proof.id, request.proof.secret);
  }

  /** Does this life of the registry know whose it is? */
  isOwned(id: string): boolean {
    const owner = this.#owners.get(id);
    return owner !== undefined && this.#scene.world.now - owner.at < KEPT_MS;
  }

  /** When it was last heard of, with its secret. */
  heardAt(id: string): number {
    return this.#owners.get(id)?.at ?? -Infinity;
  }

  removed({ id, reason }: Tombstone): void {
    if (reason.code !== 'SUPERSEDED' && reason.code !== 'ADDRESS_TAKEN') return;
    const tenant = this.#scene.known.get(id);
    if (tenant === undefined || !this.#truth.hasWorked(this.#truth.of(tenant).inbound, ANSWERING_MS)) return;
    this.#ledger.report('S3', `${id} was removed (${reason.code}) though it alone answers at its address`);
  }

  #ownsLine(line: { readonly id: string; readonly secret: string | null } | null): void {
    if (line !== null) this.#owns(line.id, line.secret ?? '');
  }

  #owns(id: string, secret: string): void {
    const owner = this.#owners.get(id);
    if (owner !== undefined && owner.secret !== secret && this.isOwned(id)) {
      this.#ledger.report('S3', `the registry obeys two who call themselves ${id}`);
      return;
    }
    this.#owners.set(id, { secret, at: this.#scene.world.now });
  }
}
