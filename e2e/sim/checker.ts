import type { AdminState, Cursor, Frame, InstanceId, Tombstone } from '@rollcall/core';
import { ClientRules } from './client-rules.js';
import { FeedRules } from './feed-rules.js';
import { IdentityRules } from './identity-rules.js';
import type { RuleContext, RecordChange } from './ledger.js';
import { LoadRules } from './load-rules.js';
import { Permits } from './permits.js';
import type { Request, RequestOutcome } from './registry-node.js';
import { RegistryRules } from './registry-rules.js';
import { StoreRules } from './store-rules.js';
import type { ClientProcess } from './client-process.js';
import type { AddressedRequest } from './transport.js';
import type { Process } from './world.js';

/**
 * Checks the invariants every 500 virtual ms and at each event. Their names (S1, L1, …) are those of the list of
 * invariants.
 */
export class Checker {
  readonly #context: RuleContext;
  readonly #registryRules: RegistryRules;
  readonly #clientRules: ClientRules;
  readonly #identityRules: IdentityRules;
  readonly #feedRules: FeedRules;
  readonly #storeRules: StoreRules;
  readonly #loadRules: LoadRules;
  #permits: Permits;

  constructor(of: RuleContext) {
    this.#context = of;
    this.#permits = new Permits(of, null);
    this.#identityRules = new IdentityRules(of);
    this.#registryRules = new RegistryRules(of, {
      mayHold: (instance) => this.#permits.mayHold(instance),
      lastReceivedAt: (id) => this.#identityRules.lastReceivedAt(id),
    });
    this.#clientRules = new ClientRules(of);
    this.#feedRules = new FeedRules(of);
    this.#storeRules = new StoreRules(of);
    this.#loadRules = new LoadRules(of);
  }

  /** The registry was started again: a watcher in its own process sees every record that it publishes. */
  registryStarted(): void {
    const { simulation, ledger } = this.#context;
    ledger.listed.clear();
    const { registry, disk, publications } = simulation.registry;
    const found = disk?.found ?? { instances: [], tombstones: [], preservation: null };
    this.#permits = new Permits(this.#context, disk === null ? null : { permits: this.#permits, disk });
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

  /** A process sends a request to the registry. */
  requested(request: Request): void {
    this.#loadRules.requested(request);
  }

  /** The request has reached the registry. */
  arrived(request: Request, outcome: RequestOutcome): void {
    this.#loadRules.arrived(request, outcome);
    this.#permits.arrived(request, outcome);
  }

  /** A request that reached the registry, whatever its origin, and the registry's outcome. */
  observed(request: Request, outcome: RequestOutcome): void {
    const { simulation, ledger } = this.#context;
    this.#identityRules.observed(request, outcome.ok);
    this.#storeRules.observed(request, outcome);
    const id = 'proof' in request ? request.proof.id : request.route === 'register' ? request.registration.id : null;
    if (id === null || outcome.ok) return;
    const code = outcome.problem?.code ?? '';
    if (code === 'ENDED') ledger.endedIds.add(id);
    if (RETRY_LATER_CODES.has(code)) ledger.refusedAt.set(id, simulation.world.now);
  }

  /** A frame that a client receives, before the client has processed it. */
  received(frame: Frame, by: ClientProcess): void {
    this.#recordTombstones(frame);
    this.#feedRules.received(by, frame);
  }

  /** A client has received and processed everything up to a revision. */
  marked(by: ClientProcess, cursor: Cursor): void {
    this.#feedRules.marked(by, cursor);
  }

  #recordTombstones({ event, data }: Frame): void {
    const { tombstones } = this.#context.ledger;
    if (event === 'change') for (const tombstone of data.remove) tombstones.set(tombstone.id, tombstone);
    if (event === 'reset') for (const tombstone of data.removed ?? []) tombstones.set(tombstone.id, tombstone);
  }

  /** Whether this registry process knows the secret of this id. */
  isOwned(id: string): boolean {
    return this.#identityRules.isOwned(id);
  }

  /** S13: only the intended process executes a request. */
  executed(by: InstanceId, { meant, sentAt }: AddressedRequest, from: Process): void {
    if (by !== meant) this.#context.ledger.report('S13', `${by} executed what was meant for ${meant}`);
    this.#clientRules.executed(by, sentAt, from);
  }

  /** An operator's setting was acknowledged. */
  adminChanged(id: InstanceId, admin: AdminState, endsByItself: boolean): void {
    this.#clientRules.adminChanged(id, admin !== 'ENABLED');
    this.#storeRules.adminChanged(id, endsByItself ? 'ENABLED' : admin);
  }

  /** An operator's removal was acknowledged. */
  ended(id: InstanceId): void {
    this.#storeRules.ended(id);
  }

  /** SIGKILL. */
  killed(tenant: ClientProcess): void {
    this.#registryRules.killed(tenant);
  }

  /** A call has ended. */
  called(from: ClientProcess, service: string, call: { readonly since: number; readonly error: string | null }): void {
    const { ledger } = this.#context;
    ledger.calls += 1;
    if (call.error === null) return;
    ledger.failedCalls += 1;
    this.#clientRules.failed(from, service, { since: call.since, error: call.error });
  }

  judge(): void {
    this.#context.truth.refresh();
    this.#registryRules.judge();
    this.#clientRules.judge();
    this.#permits.judge();
    this.#loadRules.judge();
  }

  #published(frame: Frame): void {
    const { simulation, ledger } = this.#context;
    if (frame.event !== 'status') ledger.publishedAt = simulation.world.now;
    this.#recordTombstones(frame);
    if (frame.event === 'reset') frame.data.instances.forEach((after) => this.#recordChange({ before: null, after }));
    if (frame.event !== 'change') return;
    for (const after of frame.data.upsert) this.#recordChange({ before: ledger.listed.get(after.id) ?? null, after });
    for (const tombstone of frame.data.remove) this.#removed(tombstone);
  }

  #removed(tombstone: Tombstone): void {
    const { ledger } = this.#context;
    this.#registryRules.removed(tombstone);
    this.#identityRules.removed(tombstone);
    this.#storeRules.removed(tombstone);
    this.#loadRules.removed(tombstone);
    ledger.listed.delete(tombstone.id);
    ledger.recordDecision(tombstone.id, `removed ${tombstone.reason.code}`);
  }

  #recordChange(verdict: RecordChange): void {
    const { before, after } = verdict;
    if (before?.state !== after.state || before.reason.code !== after.reason.code) {
      this.#context.ledger.recordDecision(after.id, `${after.state} ${after.reason.code}`);
    }
    this.#permits.see(verdict);
    this.#clientRules.recordChange(verdict);
    this.#registryRules.see(verdict);
    this.#context.ledger.listed.set(after.id, after);
  }
}

/** After these a process waits for half a minute before it registers again. */
const RETRY_LATER_CODES = new Set([
  'ADDRESS_TAKEN',
  'ID_HELD',
  'LEAVING',
  'INVALID',
  'ADDRESS_NOT_ALLOWED',
  'UNAUTHORIZED',
]);
