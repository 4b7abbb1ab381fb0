import { AsyncResource } from 'node:async_hooks';
import type { Log, Random, Time, Timer } from '@rollcall/core';
import { ThrottledLog } from '../registry-client/throttled-log.js';
import type { Contact } from '../registry-client/connection-status.js';
import type { RegistryClient } from '../registry-client/registry-client.js';
import type { Catalog } from './catalog.js';
import { FeedStream } from './feed-stream.js';
import type { FeedStreamParts, Line } from './feed-stream.js';
import { applyPolled } from './polled-answer.js';
import { Poller } from './poller.js';
import { ReopenBudget } from './reopen-budget.js';
import type { Shard } from './stream-shards.js';

export type { Line } from './feed-stream.js';

export interface FeedParts {
  readonly time: Time;
  readonly random: Random;
  readonly log: Log;
  readonly link: RegistryClient;
  readonly contact: Contact;
  readonly catalog: Catalog;
  readonly namespace: string;
  /** Null for a process that registers no instance. */
  readonly line: Line | null;
  /** The heartbeat interval, which limits the wait before a reconnect. */
  readonly intervalMs: () => number;
}

/**
 * The connections to the registry that keep the catalog current: one stream for each shard of the requested services, the first of which
 * holds our own line. It opens no stream before `start`, nor while no service is requested. It polls services that do not fit in any shard.
 */
export class Feed {
  readonly #parts: FeedParts;
  readonly #streamParts: FeedStreamParts;
  readonly #problems: ThrottledLog;
  readonly #streams = new Map<Shard, FeedStream>();
  /** The streams that keep their services current. */
  readonly #up = new Set<FeedStream>();
  /** Polls the services that no stream carries. */
  #poller: Poller | null = null;
  #tick: Timer | null = null;
  /** The first call opens the streams, but the AsyncLocalStorage of its request must not be kept by them. */
  readonly #outside = new AsyncResource('RollcallFeed');
  #isStarted = false;
  #isClosed = false;

  constructor(parts: FeedParts) {
    this.#parts = parts;
    this.#problems = new ThrottledLog(parts.time);
    this.#streamParts = {
      ...parts,
      problems: this.#problems,
      reopenings: new ReopenBudget(),
      up: (stream) => {
        this.#up.add(stream);
        parts.contact.opened();
      },
      down: (stream) => {
        if (this.#up.delete(stream) && this.#up.size === 0) parts.contact.closed();
      },
    };
  }

  /** Starts to open streams. May be called twice. */
  start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    this.refresh();
  }

  /**
   * Call it when the requested services or the line have changed. All changes in one turn of the event loop are applied
   * together.
   */
  refresh(): void {
    if (!this.#isStarted || this.#isClosed || this.#tick !== null) return;
    this.#tick = this.#outside.runInAsyncScope(() =>
      this.#parts.time.setTimer(
        0,
        () => {
          this.#tick = null;
          this.#reconcile();
        },
        { background: true },
      ),
    );
  }

  /** Closes all streams. May be called twice. */
  close(): void {
    this.#isClosed = true;
    this.#tick?.cancel();
    this.#poller?.close();
    for (const stream of this.#streams.values()) stream.close();
  }

  #reconcile(): void {
    const { shards } = this.#parts.catalog;
    for (const [shard, stream] of this.#streams) {
      if (shards.includes(shard)) continue;
      this.#streams.delete(shard);
      stream.close();
    }
    for (const shard of shards) this.#streamOf(shard).reconcile();
    this.#pollServices();
  }

  #streamOf(shard: Shard): FeedStream {
    const known = this.#streams.get(shard);
    if (known !== undefined) return known;
    const line = this.#streams.size === 0 ? this.#parts.line : null;
    const stream = new FeedStream(shard, line, this.#streamParts);
    this.#streams.set(shard, stream);
    return stream;
  }

  #pollServices(): void {
    const { catalog, link } = this.#parts;
    const { polledServices } = catalog;
    if (polledServices.length > 0 && link.poll !== undefined) this.#poller ??= this.#openPoller(link.poll.bind(link));
    this.#poller?.follow(polledServices);
  }

  #openPoller(poll: NonNullable<RegistryClient['poll']>): Poller {
    const { time, random, namespace, intervalMs, catalog, contact, log } = this.#parts;
    const report = (code: string, text: string): void => void this.#problems.add(code, () => log.warn(text));
    return new Poller({
      time,
      random,
      namespace,
      poll,
      intervalMs,
      answered: (service, answer) => {
        applyPolled(service, answer, { catalog, namespace, report });
        contact.reached();
      },
      failed: (error) => {
        catalog.lost(catalog.polledServices);
        contact.missed(error);
      },
    });
  }
}
