import type { Cursor, Frame, Instance } from '@rollcall/core';
import type { RuleContext, Ledger } from './ledger.js';
import { textOf } from './publications.js';
import type { Publications, Decision } from './publications.js';
import type { ClientProcess } from './client-process.js';

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
  readonly #streams = new Map<ClientProcess, Stream>();
  /** By epoch: packets of a registry process may arrive after its end. */
  readonly #publications = new Map<string, Publications>();

  constructor(of: RuleContext) {
    this.#ledger = of.ledger;
  }

  registryStarted(epoch: string, publications: Publications): void {
    this.#publications.set(epoch, publications);
  }

  /** A frame has arrived and is not yet applied. */
  received(client: ClientProcess, { event, data }: Frame): void {
    const stream = this.#streamOf(client);
    if (event === 'unknown') stream.unknown.add(data.service);
    if (event === 'reset') {
      stream.begun.add(data.service);
      stream.unknown.delete(data.service);
    }
    if (event !== 'change') return;
    const { resumed } = client;
    const isResumed = resumed?.services.includes(data.service) === true && !stream.begun.has(data.service);
    const from = stream.mark ?? (isResumed ? resumed.cursor : null);
    for (const { id, revision } of [...data.upsert, ...data.remove]) {
      const known = Math.max(from?.revision ?? 0, stream.delivered.get(id) ?? 0);
      if (revision <= known) this.#report(client, `receives revision ${revision} of ${id} after ${known}`);
      stream.delivered.set(id, revision);
    }
  }

  /** Everything before this cursor is applied. */
  marked(client: ClientProcess, cursor: Cursor): void {
    const stream = this.#streamOf(client);
    stream.mark = cursor;
    const publications = this.#publications.get(cursor.epoch);
    if (publications === undefined) return;
    for (const service of client.place.watches) {
      if (client.streamed.includes(service) && !stream.unknown.has(service))
        this.#compare(client, service, publications, cursor);
    }
  }

  #compare(client: ClientProcess, service: string, publications: Publications, { epoch, revision }: Cursor): void {
    const { instances } = client.service(service);
    const known = new Map(instances.map((instance) => [instance.id, instance]));
    for (const [id, decisions] of publications.of(service)) {
      const published = decisions.findLast((decision) => decision.revision <= revision);
      if (published === undefined) continue;
      const record = client.epochs.get(id) === epoch ? known.get(id) : undefined;
      const what =
        record === undefined ? describeLoss(decisions, published) : describeDifference(decisions, published, record);
      if (what !== null) this.#report(client, `of ${id}, with everything delivered up to ${revision}: ${what}`);
    }
  }

  #streamOf(client: ClientProcess): Stream {
    const known = this.#streams.get(client);
    if (known?.number === client.streams) return known;
    const made: Stream = {
      number: client.streams,
      mark: null,
      delivered: new Map(),
      begun: new Set(),
      unknown: new Set(),
    };
    this.#streams.set(client, made);
    return made;
  }

  #report({ process }: ClientProcess, text: string): void {
    this.#ledger.report('S5', `${process.name} ${text}`);
  }
}

/** Why the instance should be known; null when it was removed, or its removal arrived early. */
function describeLoss(decisions: readonly Decision[], published: Decision): string | null {
  const isGone = decisions.some(({ record, revision }) => record === null && revision >= published.revision);
  return isGone ? null : `it is not known, and was published as ${published.revision}`;
}

/** How a record differs from what was published; null when it does not. */
function describeDifference(decisions: readonly Decision[], published: Decision, record: Instance): string | null {
  if (record.revision < published.revision)
    return `it has revision ${record.revision}, and the newest is ${published.revision}`;
  const source = decisions.find(({ revision }) => revision === record.revision);
  if (source?.record === undefined || source.record === null) return `revision ${record.revision} was never published`;
  if (textOf(source.record) === textOf(record)) return null;
  return `revision ${record.revision} was published as ${textOf(source.record)} and is ${textOf(record)}`;
}
