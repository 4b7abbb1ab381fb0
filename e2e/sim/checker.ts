import type { AdminState, Cursor, Frame, InstanceId, Tombstone } from '@rollcall/core';
import { ClientRules } from './client-rules.js';
import { FeedRules } from './feed-rules.js';
import { IdentityRules } from './identity-rules.js';
import type { Case, Verdict } from './ledger.js';
import { LoadRules } from './load-rules.js';
import { Permits } from './permits.js';
import type { Request, RequestOutcome } from './registry-node.js';
import { RegistryRules } from './registry-rules.js';
import { StoreRules } from './store-rules.js';
import type { Tenant } from './tenant.js';
import type { Errand } from './transport.js';
import type { Process } from './world.js';

/** Sees everything and judges every 500 virtual ms, and what happens as it happens: the numbers are those of the list of invariants. */
export class Checker {
  readonly #case: Case;
  readonly #registryRules: RegistryRules;
  readonly #clientRules: ClientRules;
  readonly #identityRules: IdentityRules;
  readonly #feedRules: FeedRules;
  readonly #storeRules: StoreRules;
  readonly #loadRules: LoadRules;
  #permits: Permits;

  constructor(of: Case) {
    this.#case = of;
    this.#permits = new Permits(of, null);
    this.#identityRules = new IdentityRules(of);
    this.#registryRules = new RegistryRules(of, {
      mayHold: (instance) => this.#permits.mayHold(instance),
      heardAt: (id) => this.#identityRules.heardAt(id),
    });
    this.#clientRules = new ClientRules(of);
    this.#feedRules = new FeedRules(of);
    this.#storeRules = new StoreRules(of);
    this.#loadRules = new LoadRules(of);
  }

  /** Another life of the registry: a watcher in its own process sees every record that it publishes. */
  registryStarted(): void {
    const { scene, ledger } = this.#case;
    ledger.listed.clear();
    const { registry, disk, publications } = scene.registry;
    const found = disk?.found ?? { instances: [], tombstones: [], preservation: null };
    this.#permits = new Permits(this.#case, disk === null ? null : { permits: this.#permits, disk });
    this.#registryRules.restarted();
    this.#identityRules.restarted(found);
    this.#storeRules.restarted(found);
    if (registry !== null) this.#feedRules.registryStarted(registry.epoch, publications);
    const order = { namespace: '*', services: ['*'], resume: [], cursor: null, line: null };
    registry?.watch(order, {
      flush: (frames) => frames.forEach(({ frame }) => this.#published(frame)),
      beat() {},
      backlog: () => 0,
      end() {},
    });
  }

  /** A process asks something of the registry. */
  asked(request: Request): void {
    this.#loadRules.asked(request);
  }

  /** That has come to the registry. */
  knocked(request: Request, outcome: RequestOutcome): void {
    this.#loadRules.knocked(request, outcome);
    this.#permits.knocked(request, outcome);
  }

  /** What came to the registry, whoever sent it, and what it said. */
  saw(request: Request, outcome: RequestOutcome): void {
    const { scene, ledger } = this.#case;
    this.#identityRules.saw(request, outcome.ok);
    this.#storeRules.saw(request, outcome);
    const id = 'proof' in request ? request.proof.id : request.route === 'register' ? request.registration.id : null;
    if (id === null || outcome.ok) return;
    const code = outcome.problem?.code ?? '';
    if (code === 'ENDED') ledger.endedIds.add(id);
    if (LATER.has(code)) ledger.refusedAt.set(id, scene.world.now);
  }

  /** What a client is told, before it has made anything of it. */
  heard(frame: Frame, by: Tenant): void {
    this.#bury(frame);
    this.#feedRules.heard(by, frame);
  }

  /** What a client was told, up to a revision; it has made of it what it can. */
  marked(by: Tenant, cursor: Cursor): void {
    this.#feedRules.marked(by, cursor);
  }

  #bury({ event, data }: Frame): void {
    const { buried } = this.#case.ledger;
    if (event === 'change') for (const tombstone of data.remove) buried.set(tombstone.id, tombstone);
    if (event === 'reset') for (const tombstone of data.removed ?? []) buried.set(tombstone.id, tombstone);
  }

  /** Does this life of the registry know the secret of this id? */
  isOwned(id: string): boolean {
    return this.#identityRules.isOwned(id);
  }

  /** S13: what was meant for one process was done by it. */
  executed(by: InstanceId, { meant, sentAt }: Errand, from: Process): void {
    if (by !== meant) this.#case.ledger.report('S13', `${by} did what was meant for ${meant}`);
    this.#clientRules.executed(by, sentAt, from);
  }

  /** An operator's word was acknowledged. */
  amended(id: InstanceId, admin: AdminState, endsByItself: boolean): void {
    this.#clientRules.amended(id, admin !== 'ENABLED');
    this.#storeRules.amended(id, endsByItself ? 'ENABLED' : admin);
  }

  /** An operator's removal was acknowledged. */
  ended(id: InstanceId): void {
    this.#storeRules.ended(id);
  }

  /** SIGKILL. */
  killed(tenant: Tenant): void {
    this.#registryRules.killed(tenant);
  }

  /** A call has ended. */
  called(from: Tenant, service: string, call: { readonly since: number; readonly error: string | null }): void {
    const { ledger } = this.#case;
    ledger.calls += 1;
    if (call.error === null) return;
    ledger.failedCalls += 1;
    this.#clientRules.failed(from, service, { since: call.since, error: call.error });
  }

  judge(): void {
    this.#case.truth.refresh();
    this.#registryRules.judge();
    this.#clientRules.judge();
    this.#permits.judge();
    this.#loadRules.judge();
  }

  #published(frame: Frame): void {
    const { scene, ledger } = this.#case;
    if (frame.event !== 'status') ledger.publishedAt = scene.world.now;
    this.#bury(frame);
    if (frame.event === 'reset') frame.data.instances.forEach((after) => this.#verdict({ before: null, after }));
    if (frame.event !== 'change') return;
    for (const after of frame.data.upsert) this.#verdict({ before: ledger.listed.get(after.id) ?? null, after });
    for (const tombstone of frame.data.remove) this.#removed(tombstone);
  }

  #removed(tombstone: Tombstone): void {
    const { ledger } = this.#case;
    this.#registryRules.removed(tombstone);
    this.#identityRules.removed(tombstone);
    this.#storeRules.removed(tombstone);
    this.#loadRules.removed(tombstone);
    ledger.listed.delete(tombstone.id);
    ledger.note(tombstone.id, `removed ${tombstone.reason.code}`);
  }

  #verdict(verdict: Verdict): void {
    const { before, after } = verdict;
    if (before?.state !== after.state || before.reason.code !== after.reason.code) {
      this.#case.ledger.note(after.id, `${after.state} ${after.reason.code}`);
    }
    this.#permits.see(verdict);
    this.#clientRules.see(verdict);
    this.#registryRules.see(verdict);
    this.#case.ledger.listed.set(after.id, after);
  }
}

/** After these a process waits for half a minute before it registers again. */
const LATER = new Set(['ADDRESS_TAKEN', 'ID_HELD', 'LEAVING', 'INVALID', 'ADDRESS_NOT_ALLOWED', 'UNAUTHORIZED']);
