import { Fifo } from './fifo.js';
import type { Passer } from './turnstile.js';

/** What there is of one source: kept while somebody of it waits or is inside. */
interface Source {
  readonly waiting: Fifo<Passer>;
  /** Places that are taken by it. */
  inside: number;
  /** Is it in the order of those whose turn comes? */
  isNext: boolean;
}

/**
 * The strangers that wait at a turnstile. Sources take turns, so nobody waits behind more than one of each other source; and a source whose
 * strangers have taken its share of the places waits until some leave: who never answers stays for a whole timeout.
 */
export class StrangerLine {
  readonly #share: number;
  readonly #sources = new Map<string, Source>();
  /** Sources of which somebody waits and may pass, the one whose turn it is first. */
  readonly #order = new Fifo<Source>();

  /** `share`: while it has so many places or more, nobody else of that source passes. */
  constructor(share: number) {
    this.#share = share;
  }

  join(passer: Passer): void {
    passer.lane = 'stranger';
    const source = this.#sourceOf(passer.source);
    source.waiting.push(passer);
    this.#line(source);
  }

  first(): Passer | null {
    return this.#order.first()?.waiting.first() ?? null;
  }

  /** The first one passes; it takes its places until it has left. */
  shift(): void {
    const source = this.#order.shift();
    const passer = source?.waiting.shift();
    if (source === undefined || passer === undefined) return;
    source.inside += passer.places;
    source.isNext = false;
    this.#line(source);
  }

  leave({ source: name, places }: Passer): void {
    const source = this.#sourceOf(name);
    source.inside -= places;
    if (source.inside <= 0 && source.waiting.size === 0) this.#sources.delete(name);
    else this.#line(source);
  }

  /** Behind the other sources, if somebody of it waits and it has not taken its share. */
  #line(source: Source): void {
    if (source.isNext || source.waiting.size === 0 || source.inside >= this.#share) return;
    source.isNext = true;
    this.#order.push(source);
  }

  #sourceOf(name: string): Source {
    const known = this.#sources.get(name);
    if (known !== undefined) return known;
    const source: Source = { waiting: new Fifo(), inside: 0, isNext: false };
    this.#sources.set(name, source);
    return source;
  }
}
