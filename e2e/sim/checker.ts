import type { Frame, InstanceId } from '@rollcall/core';
import { ClientRules } from './client-rules.js';
import type { Case, Verdict } from './ledger.js';
import { Permits } from './permits.js';
import { RegistryRules } from './registry-rules.js';
import type { Request } from './registry-node.js';
import type { Tenant } from './tenant.js';
import type { Errand } from './transport.js';
import type { Process } from './world.js';

/** Sees everything and judges every 500 virtual ms: the numbers are those of the list of invariants. */
export class Checker {
  readonly #case: Case;
  readonly #registryRules: RegistryRules;
  readonly #clientRules: ClientRules;
  #permits: Permits;

  constructor(of: Case) {
    this.#case = of;
    this.#permits = new Permits(of, null);
    this.#registryRules = new RegistryRules(of, (instance) => this.#permits.mayHold(instance));
    this.#clientRules = new ClientRules(of);
  }

  /** Another life of the registry: a watcher in its own process sees every record that it publishes. */
  registryStarted(): void {
    const { scene, ledger } = this.#case;
    ledger.listed.clear();
    this.#permits = new Permits(this.#case, scene.plan.isDurable === true ? this.#permits : null);
    this.#registryRules.restarted();
    const order = { namespace: '*', services: ['*'], resume: [], cursor: null, line: null };
    scene.registry.registry?.watch(order, {
      flush: (frames) => frames.forEach(({ frame }) => this.#published(frame)),
      beat() {},
      backlog: () => 0,
      end() {},
    });
  }

  /** What came to the registry, and what it said. */
  saw(request: Request, outcome: { readonly ok: boolean; readonly problem?: { readonly code: string } }): void {
    const { scene, ledger } = this.#case;
    this.#registryRules.saw(request, outcome);
    const id = 'proof' in request ? request.proof.id : request.route === 'register' ? request.registration.id : null;
    if (id === null || outcome.ok) return;
    const code = outcome.problem?.code ?? '';
    if (code === 'ENDED') ledger.endedIds.add(id);
    if (LATER.has(code)) ledger.refusedAt.set(id, scene.world.now);
  }

  /** What a client is told. */
  hear({ event, data }: Frame): void {
    const { buried } = this.#case.ledger;
    if (event === 'change') for (const tombstone of data.remove) buried.set(tombstone.id, tombstone);
    if (event === 'reset') for (const tombstone of data.removed ?? []) buried.set(tombstone.id, tombstone);
  }

  /** Does this life of the registry know the secret of this id? */
  isOwned(id: string): boolean {
    return this.#registryRules.isOwned(id);
  }

  /** S13: what was meant for one process was done by it. */
  executed(by: InstanceId, { meant, sentAt }: Errand, from: Process): void {
    if (by !== meant) this.#case.ledger.report('S13', `${by} did what was meant for ${meant}`);
    this.#clientRules.executed(by, sentAt, from);
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
  }

  #published(frame: Frame): void {
    const { scene, ledger } = this.#case;
    if (frame.event !== 'status') ledger.publishedAt = scene.world.now;
    this.hear(frame);
    if (frame.event === 'reset') frame.data.instances.forEach((after) => this.#verdict({ before: null, after }));
    if (frame.event !== 'change') return;
    for (const after of frame.data.upsert) this.#verdict({ before: ledger.listed.get(after.id) ?? null, after });
    for (const tombstone of frame.data.remove) {
      this.#registryRules.removed(tombstone);
      ledger.listed.delete(tombstone.id);
      ledger.note(tombstone.id, `removed ${tombstone.reason.code}`);
    }
  }

  #verdict(verdict: Verdict): void {
    const { before, after } = verdict;
    if (before?.state !== after.state || before.reason.code !== after.reason.code) {
      this.#case.ledger.note(after.id, `${after.state} ${after.reason.code}`);
    }
    this.#permits.see(verdict);
    this.#registryRules.see(verdict);
    this.#case.ledger.listed.set(after.id, after);
  }
}

/** After these a process waits for half a minute before it registers again. */
const LATER = new Set(['ADDRESS_TAKEN', 'ID_HELD', 'LEAVING', 'INVALID', 'ADDRESS_NOT_ALLOWED', 'UNAUTHORIZED']);
