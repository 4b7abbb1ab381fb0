import type { Cursor, Frame, Instance } from '@rollcall/core';
import type { RuleContext, Ledger } from './ledger.js';
import { textOf } from './publications.js';
import type { Publications, Decision } from './publications.js';
import type { Tenant } from './tenant.js';

/** One stream, as the process that reads it sees it. */
interface Stream {
  readonly number: number;
  /** Up to where it has delivered everything. */
  mark: Cursor | null;
  /** The newest revision of each instance that a change carried. */
  readonly delivered: Map<string, number>;
  /** The services whose whole view it began with; those which the registry no longer knows. */
  readonly begun: Set<string>;
  readonly unknown: Set<string>;
}

/**
 * S5: no change is lost, doubled or reordered. Compares what the registry decided with each watcher's view, each time
 * the feed confirms that it has delivered everything up to a revision.
 */
export class FeedRules {
  readonly #ledger: Ledger;
  readonly #streams = new Map<Tenant, Stream>();
  /** By epoch: packets of a registry process may arrive after its end. */
  readonly #lives = new Map<string, Publications>();

  constructor(of: RuleContext) {
    this.#ledger = of.ledger;
  }

  registryStarted(epoch: string, publications: Publications): void {
    this.#lives.set(epoch, publications);
  }

  /** A frame has arrived and is not yet applied. */
  received(tenant: Tenant, { event, data }: Frame): void {
    const stream = this.#streamOf(tenant);
    if (event === 'unknown') stream.unknown.add(data.service);
    if (event === 'reset') {
      stream.begun.add(data.service);
      stream.unknown.delete(data.service);
    }
    if (event !== 'change') return;
    const { resumed } = tenant;
    const isResumed = resumed?.services.includes(data.service) === true && !stream.begun.has(data.service);
    const from = stream.mark ?? (isResumed ? resumed.cursor : null);
    for (const { id, revision } of [...data.upsert, ...data.remove]) {
      const known = Math.max(from?.revision ?? 0, stream.delivered.get(id) ?? 0);
      if (revision <= known) this.#report(tenant, `receives revision ${revision} of ${id} after ${known}`);
      stream.delivered.set(id, revision);
    }
  }

  /** Everything before this cursor is applied. */
  marked(tenant: Tenant, cursor: Cursor): void {
    const stream = this.#streamOf(tenant);
    stream.mark = cursor;
    const life = this.#lives.get(cursor.epoch);
    if (life === undefined) return;
    for (const service of tenant.place.watches) {
      if (tenant.streamed.includes(service) && !stream.unknown.has(service))
        this.#compare(tenant, service, life, cursor);
    }
  }

  #compare(tenant: Tenant, service: string, life: Publications, { epoch, revision }: Cursor): void {
    const { instances } = tenant.service(service);
    const known = new Map(instances.map((instance) => [instance.id, instance]));
    for (const [id, decisions] of life.of(service)) {
      const published = decisions.findLast((decision) => decision.revision <= revision);
      if (published === undefined) continue;
      const mine = tenant.epochs.get(id) === epoch ? known.get(id) : undefined;
      const what = mine === undefined ? lossOf(decisions, published) : differenceOf(decisions, published, mine);
      if (what !== null) this.#report(tenant, `of ${id}, with everything delivered up to ${revision}: ${what}`);
    }
  }

  #streamOf(tenant: Tenant): Stream {
    const known = this.#streams.get(tenant);
    if (known?.number === tenant.streams) return known;
    const made: Stream = {
      number: tenant.streams,
      mark: null,
      delivered: new Map(),
      begun: new Set(),
      unknown: new Set(),
    };
    this.#streams.set(tenant, made);
    return made;
  }

  #report({ process }: Tenant, text: string): void {
    this.#ledger.report('S5', `${process.name} ${text}`);
  }
}

/** Why the instance should be known; null when it was removed, or its removal arrived early. */
function lossOf(decisions: readonly Decision[], published: Decision): string | null {
  const isGone = decisions.some(({ record, revision }) => record === null && revision >= published.revision);
  return isGone ? null : `it is not known, and was published as ${published.revision}`;
}

/** How a record differs from what was published; null when it does not. */
function differenceOf(decisions: readonly Decision[], published: Decision, mine: Instance): string | null {
  if (mine.revision < published.revision)
    return `it has revision ${mine.revision}, and the newest is ${published.revision}`;
  const source = decisions.find(({ revision }) => revision === mine.revision);
  if (source?.record === undefined || source.record === null) return `revision ${mine.revision} was never published`;
  if (textOf(source.record) === textOf(mine)) return null;
  return `revision ${mine.revision} was published as ${textOf(source.record)} and is ${textOf(mine)}`;
}
