import { DEFAULT_DRAIN_MS, randomWord, uuidV7 } from '@rollcall/core';
import type {
  Beat,
  BeatAnswer,
  BeatsAnswer,
  DescribedOption,
  Drain,
  DrainAnswer,
  EndpointProtocol,
  EventsAnswer,
  HeartbeatTerms,
  InstanceAnswer,
  InstancePatch,
  InstancesAnswer,
  Log,
  Meter,
  Policy,
  Random,
  Registered,
  Registration,
  RegistryAnswer,
  ServiceAnswer,
  ServicesAnswer,
  Suspicion,
  Time,
  TimelineAnswer,
  Timer,
  TopologyAnswer,
  TrafficAnswer,
} from '@rollcall/core';
import { notReady, refuse } from './access/refusals.js';
import { CircuitEvents } from './activity/circuits.js';
import { EventHistory } from './activity/events.js';
import { beatAnswer, HeartbeatLog } from './activity/heartbeat-log.js';
import { Topology } from './activity/topology.js';
import { Traffic } from './activity/traffic.js';
import type { CommitLog } from './commit/commit-log.js';
import { StandaloneCommitLog } from './commit/standalone.js';
import { Feed } from './feed/feed.js';
import { WatchLimits } from './feed/watch-limits.js';
import { InstanceTable } from './instances/instance-table.js';
import type { Entry } from './instances/instance-table.js';
import type { Limits } from './instances/limits.js';
import { LifecycleEngine } from './lifecycle/engine.js';
import { SelfPreservation } from './lifecycle/self-preservation.js';
import { Settling } from './lifecycle/settling.js';
import { About, HoldLog } from './metrics/status.js';
import { InstanceStreams } from './probing/instance-stream.js';
import { Prober } from './probing/prober.js';
import type { ProbeProtocol } from './probing/protocols/caller.js';
import { Suspicions } from './probing/suspicions.js';
import { instancePage } from './queries/instance-list.js';
import { detail, noSuchService, serviceAnswer, summaries, viewOf } from './queries/queries.js';
import { AddressConflicts } from './registration/address-conflicts.js';
import type { Resolve } from './registration/admission.js';
import { impostor, known, lapsed } from './registration/authentication.js';
import type { TokenCheck } from './registration/authentication.js';
import { Departures } from './registration/departures.js';
import { Overrides } from './registration/overrides.js';
import { Registrations } from './registration/registrations.js';
import type {
  Ender,
  EventQuery,
  InstanceQuery,
  Operator,
  Outcome,
  Peer,
  Proof,
  RegistryApi,
  TrafficQuery,
  Watcher,
  WatcherSink,
  WatchOrder,
} from './registry-api.js';
import { KeyedMutex } from './runtime/keyed-mutex.js';
import type { Store } from './store/store.js';

export interface RegistryPorts {
  readonly time: Time;
  readonly random: Random;
  readonly log: Log;
  readonly meter: Meter;
  readonly store: Store;
  readonly callers: readonly ProbeProtocol[];
  readonly resolve: Resolve;
  /** Checks access tokens or certificates, if they are required. Default: they are not. */
  readonly tokens?: TokenCheck;
}

export interface RegistryOptions {
  readonly policy: Policy;
  /** Networks (CIDR) that may be registered besides each peer's own address. */
  readonly allowedNetworks: readonly string[];
  readonly limits: Limits;
  /** Every n-th Heartbeat-1 and Heartbeat-2 opens a connection, 1 … 1,000; the others reuse the last one. 1: all do. */
  readonly freshEvery: number;
  /** The options with which it was started and their sources, for operators. */
  readonly described?: Readonly<Record<string, DescribedOption>>;
}

/** The registry: the instances, their states, and their watchers. No HTTP, no Nest. See `RegistryApi`. */
export class Registry implements RegistryApi {
  /** The id of this registry's history. */
  readonly epoch: string;
  /** The id of the caller in Heartbeat-1. */
  readonly replica: string;
  readonly #ports: RegistryPorts;
  readonly #options: RegistryOptions;
  readonly #history: EventHistory;
  readonly #table = new InstanceTable((id) => this.#history.forget(id));
  readonly #preservation: SelfPreservation;
  readonly #feed: Feed;
  readonly #commits: CommitLog;
  readonly #watchLimits: WatchLimits;
  readonly #engine: LifecycleEngine;
  readonly #prober: Prober;
  readonly #suspicions: Suspicions;
  readonly #addresses: AddressConflicts;
  readonly #registrations: Registrations;
  readonly #streams: InstanceStreams;
  readonly #overrides: Overrides;
  readonly #departures: Departures;
  readonly #about: About;
  readonly #holdLog: HoldLog;
  readonly #beats: HeartbeatLog;
  readonly #circuits: CircuitEvents;
  readonly #traffic: Traffic;
  readonly #topology: Topology;
  readonly #settling: Settling;
  readonly #startedAt: number;
  /** Serializes registrations of an id with changes by operators. */
  readonly #mutex = new KeyedMutex();
  #listening: { readonly port: number; readonly urls: readonly string[] } | null = null;
  #readyAt: number | null = null;
  #sweeper: Timer | null = null;
  #closed = false;

  constructor(ports: RegistryPorts, options: RegistryOptions) {
    const { time, random, log, meter } = ports;
    const { policy, limits, allowedNetworks } = options;
    this.#ports = ports;
    this.#options = options;
    this.#startedAt = time.wall();
    this.epoch = uuidV7(random, time.wall());
    this.replica = randomWord(random, 12);
    this.#history = new EventHistory(time);
    this.#beats = new HeartbeatLog(time, meter);
    this.#preservation = new SelfPreservation(policy);
    this.#feed = new Feed({ time, log, meter, epoch: this.epoch, view: viewOf(this.#table) });
    this.#watchLimits = new WatchLimits({ time, log, feed: this.#feed, limits });
    const facts = { table: this.#table, feed: this.#feed, history: this.#history, beats: this.#beats };
    const commits = new StandaloneCommitLog({ time, log, store: ports.store, ...facts });
    this.#commits = commits;
    const decided = { commits, preservation: this.#preservation, watchLimits: this.#watchLimits };
    const shared = { time, random, log, policy, ...facts, ...decided };
    const engine = new LifecycleEngine(shared);
    this.#engine = engine;
    const callers = new Map<EndpointProtocol, ProbeProtocol>(ports.callers.map((caller) => [caller.protocol, caller]));
    const prober = new Prober({
      ...shared,
      meter,
      callers,
      engine,
      replica: this.replica,
      maxCalls: options.limits.maxCalls,
      freshEvery: options.freshEvery,
    });
    this.#prober = prober;
    this.#suspicions = new Suspicions({ time, prober });
    this.#addresses = new AddressConflicts({ ...shared, prober, engine });
    const rules = { resolve: ports.resolve, allowedNetworks, ownPort: () => this.#listening?.port ?? null };
    this.#registrations = new Registrations({ ...shared, engine, prober, addresses: this.#addresses, limits, rules });
    this.#overrides = new Overrides({ ...shared, engine, entryOf: (id) => this.#known(id) });
    this.#departures = new Departures({
      ...shared,
      engine,
      entryOf: (id) => this.#known(id),
      authenticated: (id, secret) => this.#authenticated(id, secret),
    });
    this.#streams = new InstanceStreams({ ...shared, engine, prober });
    this.#holdLog = new HoldLog(shared);
    this.#circuits = new CircuitEvents(shared);
    this.#traffic = new Traffic(time);
    this.#topology = new Topology({ time, policy, traffic: this.#traffic, circuits: this.#circuits });
    this.#settling = new Settling(shared);
    this.#about = new About({ ...shared, prober, store: ports.store, options });
  }

  get ready(): boolean {
    return this.#readyAt !== null && !this.#closed;
  }

  /** Loads the store and starts to probe. Rejects if the store cannot be read. */
  async start(): Promise<void> {
    const { instances, tombstones, preservation } = await this.#commits.load();
    const now = this.#ports.time.now();
    if (preservation !== null) this.#preservation.restore(preservation, now);
    for (const tombstone of tombstones) this.#table.remember(tombstone, now);
    const leaveMs = DEFAULT_DRAIN_MS + this.#options.policy.intervalMs;
    for (const stored of instances) this.#registrations.restore(stored, leaveMs);
    this.#addresses.resume();
    this.#overrides.resume();
    this.#readyAt = now;
    this.#settling.begin();
    this.#history.begin();
    const found = `${instances.length} instances and ${tombstones.length} tombstones in its store`;
    this.#history.note({ kind: 'registry', by: 'registry', text: `the registry is ready, with ${found}` });
    this.#sweep();
  }

  /** Sets where it listens: its own port is never called, and its URLs are sent to services. */
  listensOn(port: number, urls: readonly string[]): void {
    this.#listening = { port, urls };
  }

  /** Ends all watches and calls. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#streams.close();
    this.#sweeper?.cancel();
    this.#addresses.close();
    this.#prober.close();
    this.#feed.close();
    await this.#commits.close();
    await this.#ports.store.close();
  }

  async register(registration: Registration, peer: Peer): Promise<Outcome<Registered>> {
    if (!this.ready) return notReady();
    const enrolled = await this.#mutex.take(registration.id, () => this.#registrations.register(registration, peer));
    return enrolled.ok ? { ok: true, value: this.#registered(enrolled.value.entry, enrolled.value.secret) } : enrolled;
  }

  admits(id: string, secret: Proof): boolean {
    const found = this.#authenticated(id, secret);
    return found.ok && this.#beats.admits(found.value, this.#options.policy.intervalMs);
  }

  beat(id: string, secret: Proof, beat: Beat): Outcome<BeatAnswer> {
    const found = this.#authenticated(id, secret);
    if (!found.ok) return found;
    const entry = found.value;
    if (beat.seq > entry.seq) {
      entry.seq = beat.seq;
      entry.lineClosedAt = null;
      this.#beats.recordHeartbeat2(entry);
      const { returnedAt } = entry.vitals;
      this.#engine.apply(entry, { type: 'heartbeat-2' });
      this.#prober.onHeartbeat2(entry, { nonce: beat.nonce, isBack: entry.vitals.returnedAt !== returnedAt });
      if (beat.edges !== undefined) this.#topology.note(entry.record, beat.edges);
    }
    return { ok: true, value: beatAnswer(entry, this.#ports.time.now()) };
  }

  suspect(id: string, _suspicion: Suspicion, peer?: Peer): Outcome<null> {
    if (!this.ready) return notReady();
    const entry = this.#table.get(id);
    if (entry === undefined) return refuse('NOT_FOUND', `No instance ${id} is registered.`);
    this.#suspicions.report(entry, peer);
    return { ok: true, value: null };
  }

  drain(id: string, secret: Proof, drain: Drain): Promise<Outcome<DrainAnswer>> {
    return this.#departures.drain(id, secret, drain);
  }

  leave(id: string, ender: Ender | null, why = ''): Promise<Outcome<null>> {
    return this.#departures.leave(id, ender, why);
  }

  async amend(id: string, patch: InstancePatch, operator: Operator): Promise<Outcome<InstanceAnswer>> {
    if (!this.ready) return notReady();
    if (operator === null) return refuse('FORBIDDEN', 'Only an operator may change an instance.');
    const changed = await this.#mutex.take(id, () => this.#overrides.amend(id, patch, operator.who));
    return changed.ok ? { ok: true, value: this.#detail(changed.value) } : changed;
  }

  services(namespace: string): Outcome<ServicesAnswer> {
    if (!this.ready) return notReady();
    return { ok: true, value: { revision: this.#feed.revision, services: summaries(this.#table, namespace) } };
  }

  service(namespace: string, name: string, withHeartbeats = false): Outcome<ServiceAnswer> {
    if (!this.ready) return notReady();
    const heartbeats = withHeartbeats ? (entry: Entry) => this.#detail(entry).heartbeats : null;
    const found = serviceAnswer(this.#table, { namespace, name }, heartbeats);
    if (found !== null) return { ok: true, value: { ...found, ...this.#position() } };
    return this.#settling.isSettled
      ? noSuchService(this.#table, { namespace, name })
      : refuse('NOT_READY', `This registry has just started; whether there is a service ${name} is not yet certain.`);
  }

  instances(query: InstanceQuery): Outcome<InstancesAnswer> {
    if (!this.ready) return notReady();
    const page = instancePage(this.#table, query, (one) => this.#detail(one));
    return { ok: true, value: { ...page, ...this.#position() } };
  }

  instance(id: string): Outcome<InstanceAnswer> {
    const found = this.#known(id);
    return found.ok ? { ok: true, value: this.#detail(found.value) } : found;
  }

  timeline(id: string): Outcome<TimelineAnswer> {
    const found = this.#known(id);
    if (!found.ok && this.#table.tombstone(id) === undefined) return found;
    return { ok: true, value: this.#history.timeline(id) };
  }

  events(query: EventQuery): Outcome<EventsAnswer> {
    return this.ready ? { ok: true, value: { epoch: this.epoch, ...this.#history.events(query) } } : notReady();
  }

  topology(namespace: string): Outcome<TopologyAnswer> {
    return this.ready ? { ok: true, value: this.#topology.topology(namespace) } : notReady();
  }

  traffic(query: TrafficQuery): Outcome<TrafficAnswer> {
    return this.ready ? { ok: true, value: this.#traffic.read(query) } : notReady();
  }

  beats(id: string): Outcome<BeatsAnswer> {
    const found = this.#known(id);
    if (!found.ok) return found;
    return { ok: true, value: { id, intervalMs: this.#options.policy.intervalMs, ...this.#beats.of(found.value) } };
  }

  call(id: string, operator: Operator): Outcome<null> {
    if (operator === null) return refuse('FORBIDDEN', 'Only an operator may have an instance called.');
    const found = this.#known(id);
    if (!found.ok) return found;
    const text = `called at once by an operator${operator.who === undefined ? '' : ` (${operator.who})`}`;
    this.#history.noteOf(found.value.published, { kind: 'admin', by: 'operator', text });
    this.#prober.callNow(found.value);
    return { ok: true, value: null };
  }

  describe(): Outcome<RegistryAnswer> {
    const who = { replica: this.replica, ...this.#position(), startedAt: this.#startedAt, heartbeat: this.#terms() };
    return this.ready ? { ok: true, value: this.#about.answer(who) } : notReady();
  }

  watch(order: WatchOrder, sink: WatcherSink): Outcome<Watcher> {
    if (!this.ready) return notReady();
    if (order.line === null) return this.#watchLimits.watch(order, sink);
    const found = this.#authenticated(order.line.id, order.line.secret);
    if (!found.ok) return found;
    return { ok: true, value: this.#streams.hold(found.value, order, sink) };
  }

  #registered(entry: Entry, secret: string | undefined): Registered {
    return {
      instance: entry.published,
      ...(secret === undefined ? {} : { secret }),
      epoch: this.epoch,
      revision: this.#feed.revision,
      heartbeat: this.#terms(),
      registries: this.#listening?.urls ?? [],
    };
  }

  #position(): { readonly epoch: string; readonly revision: number; readonly settled: boolean } {
    return { epoch: this.epoch, revision: this.#feed.revision, settled: this.#settling.isSettled };
  }

  #detail(of: Entry): InstanceAnswer {
    return { ...detail(of, this.#ports.time.now(), this.#options.policy), lineLosses: this.#streams.lossesOf(of) };
  }

  #terms(): HeartbeatTerms {
    const { policy, freshEvery } = this.#options;
    return { intervalMs: policy.intervalMs, timeoutMs: policy.timeoutMs, freshEvery };
  }

  #known(id: string): Outcome<Entry> {
    return this.ready ? known(this.#table, id) : notReady();
  }

  /** The entry, if the secret matches: checked before anything else is disclosed. */
  #authenticated(id: string, secret: Proof): Outcome<Entry> {
    const found = impostor(this.#table, id, secret) ?? this.#known(id);
    return found.ok ? (lapsed(found.value, this.#ports.tokens, secret) ?? found) : found;
  }

  /** Applies everything that is due by time, and schedules the next sweep. */
  #sweep(): void {
    if (this.#closed) return;
    this.#overrides.sweep();
    this.#engine.sweep(this.#prober);
    this.#addresses.sweep();
    this.#holdLog.sweep();
    this.#circuits.sweep();
    this.#settling.sweep();
    this.#sweeper = this.#ports.time.setTimer(this.#engine.sweepMs, () => this.#sweep(), { background: true });
  }
}
