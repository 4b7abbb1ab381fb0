import { createHash } from 'node:crypto';
import type { Log, Policy, PreservationAnswer, RegistryAnswer, ScopeAnswer, Time } from '@rollcall/core';
import type { EventHistory } from '../activity/events.js';
import type { CommitLog } from '../commit/commit-log.js';
import type { Feed } from '../feed/feed.js';
import type { InstanceTable } from '../instances/instance-table.js';
import type { SelfPreservation, ScopeReport } from '../lifecycle/self-preservation.js';
import type { Prober } from '../probing/prober.js';

import type { Store } from '../store/store.js';

/** Maximum of held services in an answer, longest hold first. */
const MAX_SERVICES = 50;

/** The state of self-preservation for operators. */
export function preservationAnswer(preservation: SelfPreservation, now: number): PreservationAnswer {
  const { active, text, since } = preservation.describe(now);
  const holding = [...preservation.holding(now)].toSorted(
    ([, one], [, other]) => (one.since ?? 0) - (other.since ?? 0),
  );
  return {
    active,
    text,
    sinceMs: agoOf(since, now),
    registry: scopeAnswer(preservation.report(now), now),
    services: holding
      .slice(0, MAX_SERVICES)
      .map(([key, report]) => ({ ...serviceOf(key), ...scopeAnswer(report, now) })),
    servicesHolding: holding.length,
  };
}

function scopeAnswer({ since, ...report }: ScopeReport, now: number): ScopeAnswer {
  return { ...report, sinceMs: agoOf(since, now) };
}

const agoOf = (since: number | null, now: number): number | null => (since === null ? null : Math.round(now - since));

function serviceOf(key: string): { readonly namespace: string; readonly service: string } {
  const [namespace = '', service = ''] = key.split('/');
  return { namespace, service };
}

/**
 * SHA-256 (lower-case hex) over `<namespace>/<service>/<id> <revision>\n` of every instance, sorted by id in code point
 * order.
 */
export class ViewHash {
  readonly #table: InstanceTable;
  #of: { readonly revision: number; readonly hash: string } | null = null;

  constructor(table: InstanceTable) {
    this.#table = table;
  }

  /** The hash of the view at this revision, which must be the newest; computed once per revision. */
  at(revision: number): { readonly revision: number; readonly hash: string } {
    if (this.#of?.revision === revision) return this.#of;
    const hash = createHash('sha256');
    for (const { id, published, serviceKey } of this.#table.sorted())
      hash.update(`${serviceKey}/${id} ${published.revision}\n`);
    this.#of = { revision, hash: hash.digest('hex') };
    return this.#of;
  }
}

export interface AboutPorts {
  readonly time: Pick<Time, 'now'>;
  readonly table: InstanceTable;
  readonly feed: Pick<Feed, 'revision' | 'watchers'>;
  readonly prober: Pick<Prober, 'lateness'>;
  readonly preservation: SelfPreservation;
  readonly store: Pick<Store, 'name' | 'durable'>;
  readonly commits: Pick<CommitLog, 'trouble'>;
  readonly options: Pick<RegistryAnswer, 'policy' | 'limits'> & { readonly described?: RegistryAnswer['options'] };
}

type Identity = Pick<RegistryAnswer, 'replica' | 'epoch' | 'revision' | 'settled' | 'startedAt' | 'heartbeat'>;

/** Builds the description of the registry for operators. */
export class About {
  readonly #ports: AboutPorts;
  readonly #viewHash: ViewHash;

  constructor(ports: AboutPorts) {
    this.#ports = ports;
    this.#viewHash = new ViewHash(ports.table);
  }

  answer(who: Identity): RegistryAnswer {
    const { time, table, feed, prober, preservation, store, commits, options } = this.#ports;
    const { p99Ms: p99LateMs, waiting } = prober.lateness();
    const viewNow = () => this.#viewHash.at(feed.revision);
    return {
      ...who,
      store: { name: store.name, durable: store.durable, trouble: commits.trouble },
      watchers: feed.watchers,
      instances: table.size,
      tombstones: table.tombstoneCount,
      // computed only if read: some readers need the counts alone
      get view() {
        return viewNow();
      },
      calls: { p99LateMs, waiting },
      preservation: preservationAnswer(preservation, time.now()),
      policy: options.policy,
      limits: options.limits,
      options: options.described ?? {},
    };
  }
}

export interface HoldLogPorts {
  readonly time: Time;
  readonly log: Log;
  readonly policy: Policy;
  readonly preservation: SelfPreservation;
  readonly history: Pick<EventHistory, 'note'>;
}

/** Time between two checks for a new hold, ms. */
const CHECK_EVERY_MS = 1_000;

/** Logs once when self-preservation begins to hold the registry or a service, and once when it ends. */
export class HoldLog {
  readonly #ports: HoldLogPorts;
  /** Since when each scope is held; the empty key is the registry. */
  readonly #holds = new Map<string, number>();
  #checkedAt = -Infinity;

  constructor(ports: HoldLogPorts) {
    this.#ports = ports;
  }

  sweep(): void {
    const { time, policy, preservation } = this.#ports;
    const now = time.now();
    if (now - this.#checkedAt < Math.min(CHECK_EVERY_MS, policy.intervalMs / 5)) return;
    this.#checkedAt = now;
    const registry = preservation.report(now);
    const holding = new Map(preservation.holding(now));
    if (registry.rule !== null) holding.set('', registry);
    for (const [key, { text, since }] of holding) if (!this.#holds.has(key)) this.#begin(key, text ?? '', since ?? now);
    for (const [key, since] of this.#holds) if (!holding.has(key)) this.#end(key, now - since);
  }

  #begin(key: string, text: string, since: number): void {
    this.#holds.set(key, since);
    this.#report(key, `self-preservation holds ${nameOf(key)}: ${text}`);
  }

  #end(key: string, heldMs: number): void {
    this.#holds.delete(key);
    this.#report(key, `self-preservation no longer holds ${nameOf(key)}, after ${Math.round(heldMs / 1_000)} s`);
  }

  #report(key: string, text: string): void {
    const { log, history } = this.#ports;
    history.note({ kind: 'preservation', by: 'registry', text }, key === '' ? null : serviceOf(key));
    log.warn(`${text.charAt(0).toUpperCase()}${text.slice(1)}.`);
  }
}

const nameOf = (key: string): string => (key === '' ? 'the registry' : key);
