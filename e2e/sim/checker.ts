import type { Frame, Instance, InstanceId, Tombstone } from '@rollcall/core';
import { ClientRules } from './client-rules.js';
import { Permits } from './permits.js';
import { RegistryRules } from './registry-rules.js';
import type { Request } from './registry-node.js';
import type { Tenant } from './tenant.js';
import type { Town } from './town.js';

/** One invariant that was broken. */
export interface Violation {
  /** `S1`, `L2`, … */
  readonly name: string;
  /** Virtual ms. */
  readonly at: number;
  readonly text: string;
}

/** A record of the registry that was changed, as a watcher inside the registry's own process sees it. */
export interface Verdict {
  readonly at: number;
  readonly before: Instance | null;
  readonly after: Instance;
}

/** Sees everything and judges every 500 virtual ms: the numbers are those of the list of invariants. */
export class Checker {
  readonly violations: Violation[] = [];
  /** All that was ever told of a removal, by id: the newest reason. */
  readonly buried = new Map<string, Tombstone>();
  /** Of this life of the registry: everybody it ever listed, as last published. */
  listed = new Map<string, Instance>();
  /** When an id was last refused for a while, or for good. */
  readonly refusedAt = new Map<string, number>();
  readonly endedIds = new Set<string>();
  /** How many calls there were, and how many failed, whatever the reason. */
  calls = 0;
  failedCalls = 0;
  /** When the registry last published anything. */
  publishedAt = 0;
  /** What the registry decided, in order: two runs with equal traces are the same run. */
  readonly trace: string[] = [];
  readonly #town: Town;
  readonly #registryRules: RegistryRules;
  readonly #clientRules: ClientRules;
  #permits: Permits;

  constructor(town: Town) {
    this.#town = town;
    this.#permits = new Permits(town, this, null);
    this.#registryRules = new RegistryRules(town, this);
    this.#clientRules = new ClientRules(town, this);
  }

  report(name: string, text: string): void {
    const isKnown = this.violations.some((violation) => violation.name === name && violation.text === text);
    if (!isKnown && this.violations.length < 20) this.violations.push({ name, at: Math.round(this.#town.now), text });
  }

  /** Another life of the registry: a watcher in its own process sees every record that it publishes. */
  registryStarted(): void {
    this.listed = new Map();
    this.#permits = new Permits(this.#town, this, this.#town.plan.isDurable === true ? this.#permits : null);
    this.#registryRules.restarted();
    const order = { namespace: '*', services: ['*'], resume: [], cursor: null, line: null };
    this.#town.registry.registry?.watch(order, {
      flush: (frames) => frames.forEach(({ frame }) => this.#published(frame)),
      beat() {},
      backlog: () => 0,
      end() {},
    });
  }

  /** What came to the registry, and what it said. */
  saw(request: Request, outcome: { readonly ok: boolean; readonly problem?: { readonly code: string } }): void {
    this.#registryRules.saw(request, outcome);
    const id = 'proof' in request ? request.proof.id : request.route === 'register' ? request.registration.id : null;
    if (id === null || outcome.ok) return;
    const code = outcome.problem?.code ?? '';
    if (code === 'ENDED') this.endedIds.add(id);
    if (LATER.has(code)) this.refusedAt.set(id, this.#town.world.now);
  }

  /** What a client is told. */
  hear(frame: Frame): void {
    if (frame.event === 'change') for (const tombstone of frame.data.remove) this.#bury(tombstone);
    if (frame.event === 'reset') for (const tombstone of frame.data.removed ?? []) this.#bury(tombstone);
  }

  /** Does this life of the registry know the secret of this id? */
  isOwned(id: string): boolean {
    return this.#registryRules.isOwned(id);
  }

  /** Has self-preservation a reason to hold it? */
  mayHold(instance: Instance): boolean {
    return this.#permits.mayHold(instance);
  }

  /** S13: what was meant for one process was done by it. */
  executed(by: InstanceId, meant: InstanceId): void {
    if (by !== meant) this.report('S13', `${by} did what was meant for ${meant}`);
  }

  called(from: Tenant, service: string, call: { readonly since: number; readonly error: string | null }): void {
    this.calls += 1;
    if (call.error === null) return;
    this.failedCalls += 1;
    this.#clientRules.failed(from, service, { since: call.since, error: call.error });
  }

  judge(): void {
    this.#registryRules.judge();
    this.#clientRules.judge();
    this.#permits.judge();
  }

  #published(frame: Frame): void {
    const { now } = this.#town.world;
    if (frame.event !== 'status') this.publishedAt = now;
    if (frame.event === 'reset') {
      for (const instance of frame.data.instances) this.#verdict({ at: now, before: null, after: instance });
      for (const tombstone of frame.data.removed ?? []) this.#bury(tombstone);
    }
    if (frame.event !== 'change') return;
    for (const after of frame.data.upsert) {
      this.#verdict({ at: now, before: this.listed.get(after.id) ?? null, after });
    }
    for (const tombstone of frame.data.remove) {
      this.#registryRules.removed(tombstone);
      this.#bury(tombstone);
      this.listed.delete(tombstone.id);
      this.#note(tombstone.id, `removed ${tombstone.reason.code}`);
    }
  }

  #verdict(verdict: Verdict): void {
    const { before, after } = verdict;
    if (before?.state !== after.state || before.reason.code !== after.reason.code) {
      this.#note(after.id, `${after.state} ${after.reason.code}`);
    }
    this.#permits.see(verdict);
    this.#registryRules.see(verdict);
    this.listed.set(after.id, after);
  }

  #bury(tombstone: Tombstone): void {
    this.buried.set(tombstone.id, tombstone);
  }

  #note(id: string, what: string): void {
    const who = this.#town.known.get(id)?.process.name ?? id;
    this.trace.push(`${this.#town.world.now.toFixed(1)} ${who} ${what}`);
  }
}

/** After these a process waits for half a minute before it registers again. */
const LATER = new Set(['ADDRESS_TAKEN', 'ID_HELD', 'LEAVING', 'INVALID', 'ADDRESS_NOT_ALLOWED', 'UNAUTHORIZED']);
