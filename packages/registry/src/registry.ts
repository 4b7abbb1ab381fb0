import { randomWord, uuidV7 } from '@rollcall/core';
import type {
  Beat,
  BeatAnswer,
  Drain,
  DrainAnswer,
  HeartbeatTerms,
  Log,
  Meter,
  Policy,
  Protocol,
  Random,
  Registered,
  Registration,
  Suspicion,
  Time,
  Timer,
} from '@rollcall/core';
import { Addresses } from './address.js';
import type { Resolve } from './admission.js';
import type { Caller } from './caller/caller.js';
import { isSecretOf } from './credential.js';
import type {
  Ender,
  InstanceAnswer,
  Outcome,
  Peer,
  RegistryAnswer,
  RegistryFace,
  ServiceAnswer,
  ServicesAnswer,
  Watcher,
  WatcherSink,
  WatchOrder,
} from './face.js';
import { Feed } from './feed.js';
import { Judge } from './judge.js';
import { Ledger } from './ledger.js';
import type { Limits } from './limits.js';
import { Preservation } from './preservation.js';
import { detail, namesakes, published, summaries, viewOf } from './queries.js';
import { notReady, refuse } from './refusal.js';
import { Registrations } from './registrations.js';
import { Roll } from './roll.js';
import { Roster } from './roster.js';
import type { Entry } from './roster.js';
import type { Store } from './store/store.js';

export interface RegistryPorts {
  readonly time: Time;
  readonly random: Random;
  readonly log: Log;
  readonly meter: Meter;
  readonly store: Store;
  readonly callers: readonly Caller[];
  readonly resolve: Resolve;
}

export interface RegistryOptions {
  readonly policy: Policy;
  /** Networks (CIDR) that may be registered besides each peer's own address. */
  readonly allowedNetworks: readonly string[];
  readonly limits: Limits;
  /** Every n-th Heartbeat-1 and Heartbeat-2 opens a connection of its own, 1 … 1,000; the others go over the last one. 1: all do. */
  readonly freshEvery: number;
}

/** Two calls that `suspect` reports cause are this far apart, in ms: reports come from every caller at once. */
const SUSPECT_GAP_MS = 50;
const DEFAULT_DRAIN_MS = 30_000;

/** The registry: who is there, in which state, and who wants to know. No HTTP, no Nest. See `RegistryFace`. */
export class Registry implements RegistryFace {
  /** One life of this registry's history. */
  readonly epoch: string;
  /** Who calls, in Heartbeat-1. */
  readonly replica: string;
  readonly #ports: RegistryPorts;
  readonly #options: RegistryOptions;
  readonly #roster = new Roster();
  readonly #ledger: Ledger;
  readonly #preservation: Preservation;
  readonly #feed: Feed;
  readonly #judge: Judge;
  readonly #roll: Roll;
  readonly #addresses: Addresses;
  readonly #registrations: Registrations;
  readonly #startedAt: number;
  /** Registrations of one id wait for each other. */
  readonly #registering = new Map<string, Promise<unknown>>();
  #listening: { readonly port: number; readonly urls: readonly string[] } | null = null;
  #readyAt: number | null = null;
  #massAt = -Infinity;
  #settled = false;
  #sweeper: Timer | null = null;
  #closed = false;

  constructor(ports: RegistryPorts, options: RegistryOptions) {
    const { time, random, log, meter } = ports;
    const { policy } = options;
    this.#ports = ports;
    this.#options = options;
    this.#startedAt = time.wall();
    this.epoch = uuidV7(random, time.wall());
    this.replica = randomWord(random, 12);
    this.#ledger = new Ledger({ store: ports.store, time, log });
    this.#preservation = new Preservation(policy);
    this.#feed = new Feed({ time, log, meter, epoch: this.epoch, view: viewOf(this.#roster) });
    const roster = this.#roster;
    this.#judge = new Judge({
      time,
      log,
      policy,
      roster,
      ledger: this.#ledger,
      preservation: this.#preservation,
      feed: this.#feed,
    });
    const callers = new Map<Protocol, Caller>(ports.callers.map((caller) => [caller.protocol, caller]));
    this.#roll = new Roll({ time, random, policy, callers, judge: this.#judge, replica: this.replica });
    this.#addresses = new Addresses({ time, policy, roster, roll: this.#roll, judge: this.#judge });
    this.#registrations = new Registrations({
      time,
      random,
      log,
      roster,
      ledger: this.#ledger,
      judge: this.#judge,
      roll: this.#roll,
      addresses: this.#addresses,
      limits: options.limits,
      rules: {
        resolve: ports.resolve,
        allowedNetworks: options.allowedNetworks,
        ownPort: () => this.#listening?.port ?? null,
      },
    });
  }

  get ready(): boolean {
    return this.#readyAt !== null && !this.#closed;
  }

  /** Loads the store and starts to call. Rejects when the store cannot be read. */
  async start(): Promise<void> {
    const { store, time } = this.#ports;
    const { instances, tombstones, preservation } = await store.load();
    const now = time.now();
    const revisions = [
      ...instances.map(({ record }) => record.revision),
      ...tombstones.map(({ revision }) => revision),
    ];
    this.#feed.startAt(revisions.reduce((highest, revision) => Math.max(highest, revision), 0));
    if (preservation !== null) this.#preservation.restore(preservation, now);
    for (const tombstone of tombstones) this.#roster.remember(tombstone, now);
    const leaveMs = DEFAULT_DRAIN_MS + this.#options.policy.intervalMs;
    for (const stored of instances) this.#registrations.restore(stored, leaveMs);
    this.#addresses.resume();
    this.#readyAt = now;
    this.#sweep();
  }

  /** Where it listens: its own port is never called, its URLs are told to services. */
  listensOn(port: number, urls: readonly string[]): void {
    this.#listening = { port, urls };
  }

  /** Ends all watches and calls. May be called twice. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#sweeper?.cancel();
    this.#addresses.close();
    this.#roll.close();
    this.#feed.close();
    await this.#ledger.close();
    await this.#ports.store.close();
  }

  async register(registration: Registration, peer: Peer): Promise<Outcome<Registered>> {
    if (!this.ready) return notReady();
    const before = this.#registering.get(registration.id);
    const turn = (async () => {
      await before?.catch(() => undefined);
      return this.#registrations.register(registration, peer);
    })();
    this.#registering.set(registration.id, turn);
    try {
      const enrolled = await turn;
      return enrolled.ok ? { ok: true, value: this.#registered(enrolled.value.entry, enrolled.value.drawn) } : enrolled;
    } finally {
      if (this.#registering.get(registration.id) === turn) this.#registering.delete(registration.id);
    }
  }

  beat(id: string, secret: string | null, beat: Beat): Outcome<BeatAnswer> {
    const found = this.#authenticated(id, secret);
    if (!found.ok) return found;
    const entry = found.value;
    if (beat.seq > entry.seq) {
      entry.seq = beat.seq;
      entry.lineClosedAt = null;
      Object.assign(entry.heartbeat2, { lastAt: this.#ports.time.now(), misses: 0, error: null });
      this.#judge.apply(entry, { type: 'heartbeat-2' });
      if (beat.nonce !== null) this.#roll.quoted(entry, beat.nonce);
    }
    return { ok: true, value: { state: entry.record.state, revision: entry.record.revision } };
  }

  suspect(id: string, _suspicion: Suspicion): Outcome<null> {
    if (!this.ready) return notReady();
    const entry = this.#roster.get(id);
    if (entry === undefined) return refuse('NOT_FOUND', `No instance ${id} is registered.`);
    this.#roll.callNow(entry, SUSPECT_GAP_MS);
    return { ok: true, value: null };
  }

  drain(id: string, secret: string | null, drain: Drain): Outcome<DrainAnswer> {
    const found = this.#authenticated(id, secret);
    if (!found.ok) return found;
    this.#judge.apply(found.value, { type: 'drain', deadlineMs: drain.deadlineMs ?? DEFAULT_DRAIN_MS });
    const { namespace, service } = found.value.record;
    return { ok: true, value: { watchers: this.#feed.watcherCount(namespace, service) } };
  }

  leave(id: string, ender: Ender | null): Outcome<null> {
    const operator = ender !== null && 'operator' in ender;
    const found = operator ? this.#known(id) : this.#authenticated(id, ender?.secret ?? null);
    if (!found.ok) return found;
    const code = operator ? 'OPERATOR' : 'GOODBYE';
    const text = operator ? 'removed by an operator' : 'it said goodbye';
    this.#judge.apply(found.value, { type: 'end', code, text });
    return { ok: true, value: null };
  }

  services(namespace: string): Outcome<ServicesAnswer> {
    if (!this.ready) return notReady();
    const services = summaries(this.#roster, namespace);
    return { ok: true, value: { revision: this.#feed.revision, services } };
  }

  service(namespace: string, name: string): Outcome<ServiceAnswer> {
    if (!this.ready) return notReady();
    const services = namesakes(this.#roster, namespace, name);
    if (services.length === 0) {
      return this.#settled
        ? refuse('NOT_FOUND', `No service ${name} was ever registered in namespace ${namespace}.`)
        : refuse('NOT_READY', `This registry has just started; whether there is a service ${name} is not yet certain.`);
    }
    const instances = services.flatMap(({ members }) => [...members.values()].map(({ record }) => record));
    const removed = services.flatMap(({ tombstones }) => [...tombstones.values()].map(published));
    const { epoch } = this;
    const { revision } = this.#feed;
    return {
      ok: true,
      value: { service: name, namespace, epoch, revision, settled: this.#settled, instances, removed },
    };
  }

  instance(id: string): Outcome<InstanceAnswer> {
    const found = this.#known(id);
    if (!found.ok) return found;
    return { ok: true, value: detail(found.value, this.#ports.time.now(), this.#options.policy) };
  }

  describe(): Outcome<RegistryAnswer> {
    if (!this.ready) return notReady();
    const { active, text } = this.#preservation.describe(this.#ports.time.now());
    return {
      ok: true,
      value: {
        replica: this.replica,
        epoch: this.epoch,
        revision: this.#feed.revision,
        settled: this.#settled,
        startedAt: this.#startedAt,
        store: { name: this.#ports.store.name, durable: this.#ports.store.durable },
        heartbeat: this.#terms(),
        watchers: this.#feed.watchers,
        instances: this.#roster.size,
        preservation: { active, text },
      },
    };
  }

  watch(order: WatchOrder, sink: WatcherSink): Outcome<Watcher> {
    if (!this.ready) return notReady();
    if (order.line === null) {
      const watcher = this.#feed.watch(order, sink);
      return { ok: true, value: { closed: () => watcher.closed() } };
    }
    const found = this.#authenticated(order.line.id, order.line.secret);
    if (!found.ok) return found;
    return { ok: true, value: this.#holdLine(found.value, order, sink) };
  }

  /** The stream is the instance's line too: only the newest counts, and only its end by the peer is news. */
  #holdLine(entry: Entry, order: WatchOrder, sink: WatcherSink): Watcher {
    const watcher = this.#feed.watch(order, sink, () => {
      if (entry.line === watcher) entry.line = null;
    });
    entry.line = watcher;
    entry.lineClosedAt = null;
    const closed = (): void => {
      watcher.closed();
      if (entry.line !== watcher) return;
      entry.line = null;
      if (!entry.present || this.#closed) return;
      entry.lineClosedAt = this.#ports.time.now();
      this.#roll.callNow(entry);
    };
    return { closed };
  }

  #registered(entry: Entry, secret: string | undefined): Registered {
    return {
      instance: entry.record,
      ...(secret === undefined ? {} : { secret }),
      epoch: this.epoch,
      revision: this.#feed.revision,
      heartbeat: this.#terms(),
      registries: this.#listening?.urls ?? [],
    };
  }

  #terms(): HeartbeatTerms {
    const { policy, freshEvery } = this.#options;
    return { intervalMs: policy.intervalMs, timeoutMs: policy.timeoutMs, freshEvery };
  }

  #known(id: string): Outcome<Entry> {
    if (!this.ready) return notReady();
    const entry = this.#roster.get(id);
    if (entry !== undefined) return { ok: true, value: entry };
    const tombstone = this.#roster.tombstone(id);
    if (tombstone?.ended === true) return refuse('ENDED', `${id} was ended: ${tombstone.reason.text}.`);
    return refuse('NOT_FOUND', `No instance ${id} is registered.`);
  }

  /** The entry, if the secret is its own: asked before anything else is told, wherever a hash is known. */
  #authenticated(id: string, secret: string | null): Outcome<Entry> {
    const tombstone = this.#roster.tombstone(id);
    const owner = this.#roster.get(id)?.credential ?? tombstone;
    if (owner !== undefined && !isSecretOf(owner, secret)) {
      return refuse(
        'UNAUTHORIZED',
        secret === null ? 'This needs the secret of the instance.' : 'That is not its secret.',
      );
    }
    const { code, text } = tombstone?.reason ?? {};
    return code === 'ADDRESS_TAKEN' && text !== undefined ? refuse(code, text) : this.#known(id);
  }

  /** All that time brings, and the next one. */
  #sweep(): void {
    if (this.#closed) return;
    this.#judge.sweep();
    this.#addresses.sweep();
    this.#settle();
    this.#sweeper = this.#ports.time.setTimer(this.#judge.sweepMs, () => this.#sweep(), { background: true });
  }

  /** Settled: two intervals old, and no mass now nor a little before: what is not known now does not exist. */
  #settle(): void {
    const now = this.#ports.time.now();
    const { intervalMs, timeoutMs } = this.#options.policy;
    if (this.#preservation.isMass) this.#massAt = now;
    const calm = now - this.#massAt > 3 * intervalMs + timeoutMs;
    const settled = calm && now - (this.#readyAt ?? now) >= 2 * intervalMs;
    if (settled === this.#settled) return;
    this.#settled = settled;
    this.#feed.status({ settled });
  }
}
