import { createHash } from 'node:crypto';
import type { Log, Policy, Time } from '@rollcall/core';
import type { EventHistory } from '../activity/events.js';
import type { Feed } from '../feed/feed.js';
import type { InstanceTable } from '../instances/instance-table.js';
import type { SelfPreservation, ScopeReport } from '../lifecycle/self-preservation.js';
import type { Prober } from '../probing/prober.js';
import type { PreservationAnswer, RegistryAnswer, ScopeAnswer } from '../registry-api.js';
import type { Store } from '../store/store.js';
import type { WriteBehind } from '../store/write-behind.js';

/** So many services that hold are told of, longest first. */
const MOST_TOLD = 50;

/** What people are told of self-preservation. */
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
    services: holding.slice(0, MOST_TOLD).map(([key, report]) => ({ ...serviceOf(key), ...scopeAnswer(report, now) })),
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

/** SHA-256 (lower-case hex) over `<namespace>/<service>/<id> <revision>\n` of every instance, by id in the order of code points. */
export class ViewHash {
  readonly #table: InstanceTable;
  #of: { readonly revision: number; readonly hash: string } | null = null;

  constructor(table: InstanceTable) {
    this.#table = table;
  }

  /** Of the view at this revision, which is the newest: computed once for each that is asked for. */
  at(revision: number): { readonly revision: number; readonly hash: string } {
    if (this.#of?.revision === revision) return this.#of;
    const hash = createHash('sha256');
    for (const { id, record, serviceKey } of this.#table.sorted())
      hash.update(`${serviceKey}/${id} ${record.revision}\n`);
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
  readonly writeBehind: Pick<WriteBehind, 'trouble'>;
  readonly options: Pick<RegistryAnswer, 'policy' | 'limits'> & { readonly described?: RegistryAnswer['options'] };
}

type Who = Pick<RegistryAnswer, 'replica' | 'epoch' | 'revision' | 'settled' | 'startedAt' | 'heartbeat'>;

/** What the registry says of itself. */
export class About {
  readonly #ports: AboutPorts;
  readonly #viewHash: ViewHash;

  constructor(ports: AboutPorts) {
    this.#ports = ports;
    this.#viewHash = new ViewHash(ports.table);
  }

  answer(who: Who): RegistryAnswer {
    const { time, table, feed, prober, preservation, store, writeBehind, options } = this.#ports;
    const { p99Ms: p99LateMs, waiting } = prober.lateness();
    const viewNow = () => this.#viewHash.at(feed.revision);
    return {
      ...who,
      store: { name: store.name, durable: store.durable, trouble: writeBehind.trouble },
      watchers: feed.watchers,
      instances: table.size,
      tombstones: table.tombstoneCount,
      // computed for whoever reads it: some ask only how many there are
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

export interface HoldNewsPorts {
  readonly time: Time;
  readonly log: Log;
  readonly policy: Policy;
  readonly preservation: SelfPreservation;
  readonly history: Pick<EventHistory, 'note'>;
}

/** A hold that begins is told within this time. */
const LOOK_EVERY_MS = 1_000;

/** Says once when self-preservation begins to hold, the registry or a service, and once when it ends. */
export class HoldNews {
  readonly #ports: HoldNewsPorts;
  /** Since when whom it holds; the empty key is the registry. */
  readonly #held = new Map<string, number>();
  #lookedAt = -Infinity;

  constructor(ports: HoldNewsPorts) {
    this.#ports = ports;
  }

  sweep(): void {
    const { time, policy, preservation } = this.#ports;
    const now = time.now();
    if (now - this.#lookedAt < Math.min(LOOK_EVERY_MS, policy.intervalMs / 5)) return;
    this.#lookedAt = now;
    const registry = preservation.report(now);
    const holding = new Map(preservation.holding(now));
    if (registry.rule !== null) holding.set('', registry);
    for (const [key, { text, since }] of holding) if (!this.#held.has(key)) this.#begin(key, text ?? '', since ?? now);
    for (const [key, since] of this.#held) if (!holding.has(key)) this.#end(key, now - since);
  }

  #begin(key: string, text: string, since: number): void {
    this.#held.set(key, since);
    this.#tell(key, `self-preservation holds ${nameOf(key)}: ${text}`);
  }

  #end(key: string, heldMs: number): void {
    this.#held.delete(key);
    this.#tell(key, `self-preservation no longer holds ${nameOf(key)}, after ${Math.round(heldMs / 1_000)} s`);
  }

  #tell(key: string, text: string): void {
    const { log, history } = this.#ports;
    history.note({ kind: 'preservation', by: 'registry', text }, key === '' ? null : serviceOf(key));
    log.warn(`${text.charAt(0).toUpperCase()}${text.slice(1)}.`);
  }
}

const nameOf = (key: string): string => (key === '' ? 'the registry' : key);
