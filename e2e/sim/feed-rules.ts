import type { Cursor, Frame, Instance } from '@rollcall/core';
import type { Case, Ledger } from './ledger.js';
import { textOf } from './publications.js';
import type { Publications, Word } from './publications.js';
import type { Tenant } from './tenant.js';

/** One stream, as the process that reads it sees it. */
interface Stream {
  readonly number: number;
  /** Up to where it has told everything. */
  mark: Cursor | null;
  /** The newest revision of each instance that a change told. */
  readonly told: Map<string, number>;
  /** The services of which it began with the whole view; those of which the registry knows nothing any more. */
  readonly begun: Set<string>;
  readonly unknown: Set<string>;
}

/**
 * S5: no change is lost, doubled or reordered. What the registry decided is compared with what each watcher has made of its feed,
 * each time the feed says that it has told everything up to a revision.
 */
export class FeedRules {
  readonly #ledger: Ledger;
  readonly #streams = new Map<Tenant, Stream>();
  /** By epoch: packets of a life may arrive after its end. */
  readonly #lives = new Map<string, Publications>();

  constructor(of: Case) {
    this.#ledger = of.ledger;
  }

  registryStarted(epoch: string, publications: Publications): void {
    this.#lives.set(epoch, publications);
  }

  /** A frame has come, and is not yet applied. */
  heard(tenant: Tenant, { event, data }: Frame): void {
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
      const known = Math.max(from?.revision ?? 0, stream.told.get(id) ?? 0);
      if (revision <= known) this.#report(tenant, `is told revision ${revision} of ${id} after ${known}`);
      stream.told.set(id, revision);
    }
  }

  /** All before it is applied. */
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
    for (const [id, words] of life.of(service)) {
      const said = words.findLast((word) => word.revision <= revision);
      if (said === undefined) continue;
      const mine = tenant.epochs.get(id) === epoch ? known.get(id) : undefined;
      const what = mine === undefined ? lossOf(words, said) : differenceOf(words, said, mine);
      if (what !== null) this.#report(tenant, `of ${id}, told up to ${revision}: ${what}`);
    }
  }

  #streamOf(tenant: Tenant): Stream {
    const known = this.#streams.get(tenant);
    if (known?.number === tenant.streams) return known;
    const made: Stream = { number: tenant.streams, mark: null, told: new Map(), begun: new Set(), unknown: new Set() };
    this.#streams.set(tenant, made);
    return made;
  }

  #report({ process }: Tenant, text: string): void {
    this.#ledger.report('S5', `${process.name} ${text}`);
  }
}

/** Why it should be known; null when it was removed, or is removed by what came early. */
function lossOf(words: readonly Word[], said: Word): string | null {
  const isGone = words.some(({ record, revision }) => record === null && revision >= said.revision);
  return isGone ? null : `it is not known, and was published as ${said.revision}`;
}

/** How a record differs from what was published; null when it does not. */
function differenceOf(words: readonly Word[], said: Word, mine: Instance): string | null {
  if (mine.revision < said.revision) return `it has revision ${mine.revision}, and the newest is ${said.revision}`;
  const source = words.find(({ revision }) => revision === mine.revision);
  if (source?.record === undefined || source.record === null) return `revision ${mine.revision} was never published`;
  if (textOf(source.record) === textOf(mine)) return null;
  return `revision ${mine.revision} was published as ${textOf(source.record)} and is ${textOf(mine)}`;
}
