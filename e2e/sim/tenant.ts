import { DEFAULT_NAMESPACE, DEFAULT_WEIGHT, silentLog } from '@rollcall/core';
import type { Cursor, Frame, HeartbeatCall, Instance, Protocol } from '@rollcall/core';
import { Catalog, Contact, Feed, Session } from '@rollcall/client/testing';
import { NetworkLink } from './link.js';
import type { End, Network } from './network.js';
import { answering } from './rpc.js';
import type { Machine, Process } from './world.js';

/** Where one process of a kind runs, again and again. */
export interface Place {
  /** `orders-1` */
  readonly name: string;
  readonly machine: Machine;
  /** Null: it only watches. */
  readonly service: string | null;
  readonly endpoints: readonly { readonly protocol: Protocol; readonly port: number }[];
  /** What it watches; the first one from the beginning, the others a moment later. */
  readonly watches: readonly string[];
  /** Shares its port with other processes, which get the connections in turns. */
  readonly isWorker?: boolean;
}

/** What the world asks, which real code finds out by calls that fail. */
export interface Circumstances {
  readonly registry: Machine;
  isUnreachable(from: Tenant, id: string): boolean;
  frame(tenant: Tenant, frame: Frame): void;
}

/** How long after the first wish to watch the next one comes: a stream is then replaced by another. */
const NEXT_WISH_MS = 300;

/** One process with a client in it, for its whole life. The truth about it is kept by whoever looks from outside. */
export class Tenant {
  readonly place: Place;
  readonly process: Process;
  readonly bornAt: number;
  readonly session: Session | null;
  readonly catalog: Catalog;
  /** Endpoints that accept and never answer. */
  readonly mute = new Set<number>();
  /** Truth: it answered an authentic Heartbeat-1; a Heartbeat-2 of it was accepted; it said that it leaves. */
  wasCalled = false;
  hasBeaten = false;
  leavesAt = Infinity;
  /** Its feed: the newest stream that was opened, and up to where it has told us everything. */
  stream: End | null = null;
  cursor: Cursor | null = null;
  readonly #feed: Feed;

  constructor(network: Network, place: Place, around: Circumstances) {
    const { machine, name, service } = place;
    const process = network.spawn(machine, name);
    const random = network.world.fork();
    this.place = place;
    this.process = process;
    this.bornAt = network.world.now;
    const link = new NetworkLink(network, process, around.registry, {
      opened: (stream) => {
        this.stream = stream;
      },
      frame: (frame) => around.frame(this, frame),
      mark: (cursor) => {
        this.cursor = cursor;
      },
    });
    const ports = { time: process, random, log: silentLog, link };
    const contact = new Contact(silentLog, link.name);
    const lineChanged = (): void => this.#feed.refresh();
    this.session =
      service === null ? null : new Session({ ...ports, contact, self: selfOf(service), intervalMs: 5_000, lineChanged });
    this.catalog = new Catalog({
      time: process,
      log: silentLog,
      asked: () => this.#feed.refresh(),
      isEjected: (id) => around.isUnreachable(this, id),
    });
    const intervalMs = (): number => this.session?.intervalMs ?? 5_000;
    const { catalog, session } = this;
    this.#feed = new Feed({ ...ports, contact, catalog, namespace: DEFAULT_NAMESPACE, line: session, intervalMs });
    this.#listen(network);
    this.#begin();
  }

  /** Its instance id; null for one that only watches. */
  get id(): string | null {
    return this.session?.id ?? null;
  }

  /** Who it would call, by what it knows: every state but the last two. */
  callable(service: string): readonly Instance[] {
    return this.catalog
      .service(service)
      .instances.filter(({ state, admin }) => admin === 'ENABLED' && state !== 'CRITICAL' && state !== 'DEREGISTERING');
  }

  /** SIGTERM: drains, leaves, ends. */
  async leave(world: { readonly now: number }): Promise<void> {
    this.leavesAt = world.now;
    await this.session?.drain(10_000);
    await new Promise<void>((resolve) => void this.process.setTimer(200, resolve));
    await this.session?.leave();
    this.#feed.close();
    this.process.die(true);
  }

  #begin(): void {
    this.#feed.start();
    const [first, ...others] = this.place.watches;
    if (first !== undefined) this.catalog.service(first);
    if (others.length > 0) {
      this.process.setTimer(NEXT_WISH_MS, () => others.forEach((service) => this.catalog.service(service)));
    }
    this.session?.start(this.place.endpoints);
  }

  #listen(network: Network): void {
    for (const { port } of this.place.endpoints) {
      const answer = (message: unknown): unknown => (this.mute.has(port) ? null : this.#answer(message));
      network.listen(this.process, port, answering(answer), this.place.isWorker);
    }
  }

  #answer(message: unknown): unknown {
    const { heartbeat1 } = message as { readonly heartbeat1: HeartbeatCall };
    if (heartbeat1.instance === this.id && heartbeat1.purpose !== 'opinion') this.wasCalled = true;
    return this.session?.answer(heartbeat1);
  }
}

function selfOf(service: string): ConstructorParameters<typeof Session>[0]['self'] {
  return {
    service,
    namespace: DEFAULT_NAMESPACE,
    version: '1.0.0',
    zone: '',
    weight: DEFAULT_WEIGHT,
    metadata: {},
  };
}
