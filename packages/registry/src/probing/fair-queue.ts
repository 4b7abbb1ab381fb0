import { Fifo } from '../runtime/fifo.js';
import type { Waiter } from './waiter.js';

/** The waiters of one source; exists while one of them waits or is admitted. */
interface Source {
  /** Waiters that come for the first time, and those that come again because they have not verified themselves yet. */
  readonly fresh: Fifo<Waiter>;
  readonly again: Fifo<Waiter>;
  /** Fresh waiters admitted since the last of the others. */
  freshInARow: number;
  /** Places that its admitted waiters hold. */
  inside: number;
  /** True while it is in the order of sources. */
  isNext: boolean;
}

/** While both kinds of one source wait, one in this many that are admitted has come before. */
const AGAIN_EVERY = 4;

/**
 * The queue of unverified instances in front of a concurrency limiter. Sources take turns, so a waiter queues behind at
 * most one waiter of each other source. A source whose waiters hold its share of the places waits until some leave,
 * because an instance that never answers holds its place for a whole timeout. Within a source, first-time waiters go
 * first: they are more likely to verify themselves than those that already failed to.
 */
export class FairQueue {
  readonly #share: number;
  readonly #sources = new Map<string, Source>();
  /** Sources with a waiter that may be admitted, in round-robin order. */
  readonly #order = new Fifo<Source>();

  /** `share`: a source that holds this many places or more gets no further one. */
  constructor(share: number) {
    this.#share = share;
  }

  push(waiter: Waiter): void {
    waiter.lane = 'unverified';
    const source = this.#sourceOf(waiter.source);
    (waiter.isNew ? source.fresh : source.again).push(waiter);
    this.#enqueue(source);
  }

  first(): Waiter | null {
    const source = this.#order.first();
    return source === undefined ? null : (nextOf(source).first() ?? null);
  }

  /** Removes the first waiter, which holds its places until it is released. */
  shift(): void {
    const source = this.#order.shift();
    if (source === undefined) return;
    const queue = nextOf(source);
    source.freshInARow = queue === source.fresh ? source.freshInARow + 1 : 0;
    source.inside += queue.shift()?.places ?? 0;
    source.isNext = false;
    this.#enqueue(source);
  }

  release({ source: name, places }: Waiter): void {
    const source = this.#sourceOf(name);
    source.inside -= places;
    if (source.inside <= 0 && !isWaiting(source)) this.#sources.delete(name);
    else this.#enqueue(source);
  }

  /** Appends the source to the order if a waiter of it waits and it has not used up its share. */
  #enqueue(source: Source): void {
    if (source.isNext || !isWaiting(source) || source.inside >= this.#share) return;
    source.isNext = true;
    this.#order.push(source);
  }

  #sourceOf(name: string): Source {
    const verified = this.#sources.get(name);
    if (verified !== undefined) return verified;
    const source: Source = { fresh: new Fifo(), again: new Fifo(), freshInARow: 0, inside: 0, isNext: false };
    this.#sources.set(name, source);
    return source;
  }
}

const isWaiting = ({ fresh, again }: Source): boolean => fresh.size > 0 || again.size > 0;

function nextOf({ fresh, again, freshInARow }: Source): Fifo<Waiter> {
  const isOthers = freshInARow >= AGAIN_EVERY - 1 && again.size > 0;
  return fresh.size === 0 || isOthers ? again : fresh;
}
