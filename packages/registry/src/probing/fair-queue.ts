import { Fifo } from '../runtime/fifo.js';
import type { Waiter } from './waiter.js';

/** What there is of one source: kept while somebody of it waits or is inside. */
interface Source {
  /** Those that come for the first time, and those that come again: they did not prove themselves yet. */
  readonly fresh: Fifo<Waiter>;
  readonly again: Fifo<Waiter>;
  /** Of the fresh, so many passed since the last of the others. */
  freshInARow: number;
  /** Places that are taken by it. */
  inside: number;
  /** Is it in the order of those whose turn comes? */
  isNext: boolean;
}

/** Of one source, one in so many that pass came before, if one waits. */
const AGAIN_EVERY = 4;

/**
 * The strangers that wait at a turnstile. Sources take turns, so nobody waits behind more than one of each other source; and a source whose
 * strangers have taken its share of the places waits until some leave: who never answers stays for a whole timeout. Of one source who
 * comes for the first time passes first: it is more likely to prove itself than who did not do so the last time.
 */
export class FairQueue {
  readonly #share: number;
  readonly #sources = new Map<string, Source>();
  /** Sources of which somebody waits and may pass, the one whose turn it is first. */
  readonly #order = new Fifo<Source>();

  /** `share`: while it has so many places or more, nobody else of that source passes. */
  constructor(share: number) {
    this.#share = share;
  }

  join(passer: Waiter): void {
    passer.lane = 'stranger';
    const source = this.#sourceOf(passer.source);
    (passer.isNew ? source.fresh : source.again).push(passer);
    this.#line(source);
  }

  first(): Waiter | null {
    const source = this.#order.first();
    return source === undefined ? null : (nextOf(source).first() ?? null);
  }

  /** The first one passes; it takes its places until it has left. */
  shift(): void {
    const source = this.#order.shift();
    if (source === undefined) return;
    const line = nextOf(source);
    source.freshInARow = line === source.fresh ? source.freshInARow + 1 : 0;
    source.inside += line.shift()?.places ?? 0;
    source.isNext = false;
    this.#line(source);
  }

  leave({ source: name, places }: Waiter): void {
    const source = this.#sourceOf(name);
    source.inside -= places;
    if (source.inside <= 0 && !isWaiting(source)) this.#sources.delete(name);
    else this.#line(source);
  }

  /** Behind the other sources, if somebody of it waits and it has not taken its share. */
  #line(source: Source): void {
    if (source.isNext || !isWaiting(source) || source.inside >= this.#share) return;
    source.isNext = true;
    this.#order.push(source);
  }

  #sourceOf(name: string): Source {
    const known = this.#sources.get(name);
    if (known !== undefined) return known;
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
