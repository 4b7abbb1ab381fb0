import { MAX_NAMES_PER_REQUEST } from '@rollcall/core';

/** A stream may name a service twice in its URL (`service=` and `resume=`), and servers accept 16 KiB of request head. */
const MAX_URL_CHARACTERS = 14_000;
const AROUND_NAMES = '&service=&resume='.length;

/**
 * The services that one stream carries. A name gets a new ticket each time it is added, so that a stream can detect whether a name that it
 * was opened with is still the same subscription.
 */
export class Shard {
  readonly #tickets = new Map<string, number>();
  #additions = 0;
  #urlCharacters = 0;
  #names: readonly string[] | null = null;

  /** Incremented for each added name: a stream that was opened at a lower count lacks a name. */
  get additions(): number {
    return this.#additions;
  }

  /** The names in the order of their addition; the same array until a name is added or removed. */
  get names(): readonly string[] {
    this.#names ??= [...this.#tickets.keys()];
    return this.#names;
  }

  get size(): number {
    return this.#tickets.size;
  }

  ticket(name: string): number | undefined {
    return this.#tickets.get(name);
  }

  /** The tickets that a stream carries if it is opened now. */
  tickets(): ReadonlyMap<string, number> {
    return new Map(this.#tickets);
  }

  hasRoomFor(name: string): boolean {
    return this.size < MAX_NAMES_PER_REQUEST && this.#urlCharacters + costOf(name) <= MAX_URL_CHARACTERS;
  }

  /** Adds a name for which it has room and which it does not have. */
  add(name: string): void {
    this.#additions += 1;
    this.#tickets.set(name, this.#additions);
    this.#urlCharacters += costOf(name);
    this.#names = null;
  }

  delete(name: string): void {
    if (!this.#tickets.delete(name)) return;
    this.#urlCharacters -= costOf(name);
    this.#names = null;
  }
}

/**
 * Divides the watched services among streams: a registry accepts 256 names in one (`MAX_NAMES_PER_REQUEST`), or fewer if they are long. A
 * name stays in its shard, so that adding a name reopens one stream and leaves the others open. It does no I/O.
 */
export class Shards {
  #all: readonly Shard[] = [new Shard()];
  readonly #shardOf = new Map<string, Shard>();

  /**
   * The shards, at least one. The first is never removed, since its stream also carries the line; others are removed when they are empty.
   */
  get all(): readonly Shard[] {
    return this.#all;
  }

  /** Adds a name to the newest shard with room, so that the streams of older ones stay open. */
  add(name: string): void {
    if (this.#shardOf.has(name)) return;
    const shard = this.#all.findLast((one) => one.hasRoomFor(name)) ?? this.#another();
    shard.add(name);
    this.#shardOf.set(name, shard);
  }

  delete(name: string): void {
    const shard = this.#shardOf.get(name);
    if (shard === undefined) return;
    this.#shardOf.delete(name);
    shard.delete(name);
    if (shard.size === 0) this.#all = this.#all.filter((one, index) => index === 0 || one !== shard);
  }

  #another(): Shard {
    const shard = new Shard();
    this.#all = [...this.#all, shard];
    return shard;
  }
}

function costOf(name: string): number {
  return AROUND_NAMES + 2 * name.length;
}
