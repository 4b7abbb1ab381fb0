import { randomWord, sleep } from '@rollcall/core';
import type {
  Endpoint,
  HeartbeatCall,
  Histogram,
  Log,
  Meter,
  Policy,
  EndpointProtocol,
  Purpose,
  Random,
  Time,
  Timer,
} from '@rollcall/core';
import type { HeartbeatLog } from '../activity/heartbeat-log.js';
import { signCall } from '../instances/credential.js';
import type { Entry, Round } from '../instances/instance-table.js';
import type { LifecycleEngine } from '../lifecycle/engine.js';
import type { Progress } from '../lifecycle/stall-clock.js';
import { BatchSize } from './batch-size.js';
import { ConcurrencyLimiter } from './concurrency-limiter.js';
import { KeptConnections } from './kept-connections.js';
import { Lateness } from './lateness.js';
import { faultOf, joinFaults } from './probe-failure.js';
import type { KeptSlot, ProbeProtocol, ProbeOutcome } from './protocols/caller.js';
import { ProbeSchedule } from './schedule.js';
import type { Lane, Waiter } from './waiter.js';

export interface ProberPorts {
  readonly time: Time;
  readonly random: Random;
  readonly log: Log;
  readonly meter: Meter;
  readonly policy: Policy;
  readonly engine: LifecycleEngine;
  readonly beats: Pick<HeartbeatLog, 'recordAnswer' | 'recordMiss'>;
  readonly callers: ReadonlyMap<EndpointProtocol, ProbeProtocol>;
  /** Id of the calling registry: `^[A-Za-z0-9_-]{8,64}$`. */
  readonly replica: string;
  /** Maximum number of concurrent calls; further calls queue, and the wait is not held against the instance. */
  readonly maxCalls: number;
  /** One in this many ordinary calls of an instance opens a connection, the others reuse it; 1: each opens its own. */
  readonly freshEvery: number;
}

/** Delays of the calls of Heartbeat-1. */
export interface Punctuality {
  /** 99 % of the calls of the last one to two intervals began at most this many ms late. */
  readonly p99Ms: number;
  /** Instances whose call is due and queued behind other calls. */
  readonly waiting: number;
}

/** Retry delays for an endpoint that accepts and closes without an answer, ms: a dying process closes its sockets. */
const CLOSED_RETRIES_MS = [10, 20, 40, 80];
/** Recent rounds per instance whose nonces a Heartbeat-2 may quote. */
const ROUNDS_KEPT = 3;
/** After a proof the next call follows within this share of an interval, until the instance is HEALTHY. */
const RECHECK_SHARE = 0.2;
/** Fraction of the golden ratio: spreads the slots of any number of instances evenly over the interval. */
const GOLDEN = 0.618_033_988_749_895;

/** Retry delay of a call that this process could not send, and the minimum time between two log lines about it, ms. */
const UNABLE_RETRY_MS = 500;
const UNABLE_LOG_EVERY_MS = 60_000;

/** The probe state of one instance. */
interface ProbeState extends Waiter {
  readonly entry: Entry;
  /** Offset of its regular calls within the interval, 0 … 1. */
  readonly slot: number;
  places: number;
  isNew: boolean;
  readonly connections: KeptConnections;
  /** Due time of the next call, monotonic ms; Infinity while none is scheduled. */
  nextAt: number;
  /** Due time of the call that is queued or under way. */
  dueAt: number;
  /** True if the next call was requested outside its slot. */
  urgent: boolean;
  calling: boolean;
  /** Due time of a call requested during the current one; Infinity: none was requested. */
  wantedAt: number;
  lastStartedAt: number;
  /** Consecutive failed calls. */
  failed: number;
  /** True while an address conflict is being resolved: no ordinary call until then. */
  held: boolean;
}

/**
 * Probes every instance once an interval on all its endpoints, and immediately after an event that concerns it. One
 * timer drives all of it. If more calls are due than may be under way, or this process is busy, calls are late: the
 * silence clocks of queued instances are paused.
 */
export class Prober implements Progress {
  readonly #ports: ProberPorts;
  readonly #states = new WeakMap<Entry, ProbeState>();
  readonly #probeSchedule = new ProbeSchedule<ProbeState>();
  readonly #limiter: ConcurrencyLimiter;
  readonly #batchSize: BatchSize;
  readonly #lateness: Lateness;
  readonly #lateSeconds: Histogram;
  readonly #origin: number;
  #timer: Timer | null = null;
  #timerAt = Infinity;
  #count = 0;
  #unableLoggedAt = -Infinity;
  #closed = false;

  constructor(ports: ProberPorts) {
    this.#ports = ports;
    this.#origin = ports.time.now();
    this.#limiter = new ConcurrencyLimiter(ports.maxCalls);
    this.#batchSize = new BatchSize(ports.policy.intervalMs, this.#origin);
    this.#lateness = new Lateness(ports.policy.intervalMs, this.#origin);
    this.#lateSeconds = ports.meter.histogram(
      'rollcall_registry_heartbeat1_lateness_seconds',
      'Delay between the time a call of an instance was due and the time it began.',
    );
  }

  get behindMs(): number {
    return Math.max(0, this.#ports.time.now() - this.#probeSchedule.verifiedAt);
  }

  get unverifiedBehindMs(): number {
    return Math.max(0, this.#ports.time.now() - this.#probeSchedule.unverifiedAt);
  }

  dueAt(entry: Entry): number {
    const turn = this.#states.get(entry);
    return turn === undefined || turn.held ? Infinity : turn.nextAt;
  }

  lateness(): Punctuality {
    return { p99Ms: this.#lateness.quantile(0.99, this.#ports.time.now()), waiting: this.#limiter.waiting };
  }

  /** Starts to probe an instance. `spread`: its first call comes in its slot instead of at once. */
  add(entry: Entry, options: { readonly spread: boolean }): void {
    this.#count += 1;
    const slot = (this.#count * GOLDEN) % 1;
    const turn: ProbeState = {
      entry,
      source: `${entry.source} ${entry.token ?? ''}`,
      isNew: true,
      slot,
      places: 1,
      lane: null,
      admit: (lane) => this.#begin(turn, lane),
      connections: new KeptConnections(),
      nextAt: Infinity,
      dueAt: Infinity,
      urgent: !options.spread,
      calling: false,
      wantedAt: Infinity,
      lastStartedAt: -Infinity,
      failed: 0,
      held: false,
    };
    this.#states.set(entry, turn);
    this.#schedule(turn, options.spread ? this.#nextSlot(turn) : this.#ports.time.now());
  }

  /**
   * Calls an instance now or right after the call under way, but at least `gapMs` after its last call began.
   * `mayExpedite` is evaluated only if this brings the next call forward; false leaves the schedule unchanged.
   */
  callNow(entry: Entry, gapMs = 0, mayExpedite: () => boolean = () => true): void {
    const turn = this.#states.get(entry);
    if (turn === undefined || turn.held || !entry.present) return;
    const at = Math.max(this.#ports.time.now(), turn.lastStartedAt + gapMs);
    if (isLaterThan(turn, at) && !mayExpedite()) return;
    turn.urgent = true;
    if (turn.lane !== null) this.#limiter.prioritize(turn);
    else if (turn.calling) turn.wantedAt = Math.min(turn.wantedAt, at);
    else if (turn.nextAt > at) this.#schedule(turn, at);
  }

  /** Suspends the calls of an instance while an address conflict is being resolved; resuming calls it at once. */
  suspend(entry: Entry, held: boolean): void {
    const turn = this.#states.get(entry);
    if (turn === undefined || turn.held === held) return;
    turn.held = held;
    if (held) turn.connections.close();
    else this.callNow(entry);
  }

  /** Records a Heartbeat-2. After silence in both directions it calls the instance at once: it may have been frozen. */
  onHeartbeat2(entry: Entry, { nonce, isBack }: { readonly nonce: string | null; readonly isBack: boolean }): void {
    if (isBack) this.callNow(entry);
    const round = entry.rounds.find((candidate) => candidate.nonce === nonce);
    if (round === undefined || round.quoted) return;
    round.quoted = true;
    if (round.answered) this.#proved(entry);
  }

  /** Asks one address which instance is there and records nothing. Resolves to its id; null: no valid answer. */
  async opinion(entry: Entry, target: Endpoint): Promise<string | null> {
    const { random, replica } = this.#ports;
    const nonce = randomWord(random, 22);
    const call = signCall(entry.credential, { replica, instance: entry.id, nonce, purpose: 'opinion' });
    const place = await this.#acquire(entry);
    const outcome = await this.#probe(entry, target, call, null).finally(() => this.#limiter.release(place, 'urgent'));
    return outcome.kind === 'answered' && outcome.nonce === nonce ? outcome.instance : null;
  }

  /** Stops all calls. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    for (const caller of this.#ports.callers.values()) caller.close();
  }

  #schedule(turn: ProbeState, at: number): void {
    turn.nextAt = at;
    this.#probeSchedule.put(at, turn, !turn.entry.vitals.proved);
    this.#arm();
  }

  /** The next time at which the slot of this instance comes round, monotonic ms. */
  #nextSlot(turn: ProbeState): number {
    const { intervalMs } = this.#ports.policy;
    const now = this.#ports.time.now();
    const place = this.#origin + turn.slot * intervalMs;
    const next = place + (Math.floor((now - place) / intervalMs) + 1) * intervalMs;
    // rounding may give the current moment, which is not in the future
    return next > now ? next : next + intervalMs;
  }

  #arm(): void {
    if (this.#closed || this.#probeSchedule.nextAt >= this.#timerAt) return;
    this.#timer?.cancel();
    this.#timerAt = this.#probeSchedule.nextAt;
    const ms = Math.max(0, this.#timerAt - this.#ports.time.now());
    this.#timer = this.#ports.time.setTimer(ms, () => this.#run(), { background: true });
  }

  #run(): void {
    this.#timerAt = Infinity;
    const now = this.#ports.time.now();
    this.#probeSchedule.begin(now, this.#batchSize.turn(now), (turn, at) => this.#onDue(turn, at));
    this.#arm();
  }

  /** False if the entry is out of date (rescheduled, removed or busy): it does not count towards the batch. */
  #onDue(turn: ProbeState, at: number): boolean {
    if (turn.nextAt !== at) return false;
    turn.nextAt = Infinity;
    if (!turn.entry.present) turn.connections.close();
    if (!turn.entry.present || turn.calling || turn.held || turn.lane !== null) return false;
    this.#enqueue(turn, at);
    return true;
  }

  /** A call is due: it begins now, or queues until others have ended. */
  #enqueue(turn: ProbeState, dueAt: number): void {
    const { entry } = turn;
    const verified: Lane = turn.urgent || entry.vitals.phase !== 'HEALTHY' ? 'urgent' : 'ordinary';
    turn.dueAt = dueAt;
    turn.places = entry.targets.length;
    turn.isNew = turn.lastStartedAt === -Infinity;
    this.#limiter.enqueue(turn, entry.vitals.proved ? verified : 'unverified');
    if (turn.lane !== null) this.#ports.engine.callQueued(entry, dueAt);
  }

  #begin(turn: ProbeState, lane: Lane): void {
    const { time, engine } = this.#ports;
    const now = time.now();
    engine.callBegan(turn.entry, turn.dueAt);
    if (turn.held || this.#closed || !turn.entry.present) {
      this.#limiter.release(turn, lane);
      return;
    }
    this.#lateness.record(now - turn.dueAt, now);
    this.#lateSeconds.record((now - turn.dueAt) / 1_000);
    turn.calling = true;
    turn.wantedAt = Infinity;
    turn.lastStartedAt = now;
    void this.#round(turn).finally(() => this.#limiter.release(turn, lane));
  }

  /** One round: a call with the same nonce to every endpoint. */
  async #round(turn: ProbeState): Promise<void> {
    const { entry } = turn;
    const { random, replica, freshEvery } = this.#ports;
    const purpose: Purpose = turn.urgent || entry.vitals.phase !== 'HEALTHY' ? 'urgent' : 'beat';
    turn.urgent = false;
    const round: Round = { nonce: randomWord(random, 22), answered: false, quoted: false };
    // concat, as spread would allocate room for 17 elements, for every instance
    entry.rounds = entry.rounds.slice(1 - ROUNDS_KEPT).concat(round);
    const { targets } = entry;
    // only a healthy instance is called over a kept connection
    const kept = purpose === 'beat' && freshEvery > 1 ? turn.connections.slotsFor(targets, freshEvery) : null;
    const signed = signCall(entry.credential, { replica, instance: entry.id, nonce: round.nonce, purpose });
    const call = kept?.keep === true ? { ...signed, keep: true } : signed;
    const outcomes = await this.#probeAll(entry, call, kept?.slots ?? []);
    turn.calling = false;
    if (this.#closed || !entry.present) return turn.connections.close();
    if (entry.targets === targets) this.#evaluate(turn, round, purpose, outcomes);
    else turn.wantedAt = this.#ports.time.now();
    if (!entry.present) return turn.connections.close();
    if (turn.nextAt === Infinity || turn.wantedAt < turn.nextAt) {
      this.#schedule(turn, Math.max(this.#ports.time.now(), Math.min(turn.wantedAt, this.#nextSlot(turn))));
    }
  }

  async #probeAll(entry: Entry, call: HeartbeatCall, slots: readonly KeptSlot[]): Promise<readonly ProbeOutcome[]> {
    const [first, ...others] = entry.targets;
    if (first === undefined) return [];
    if (others.length === 0) return [await this.#probe(entry, first, call, slots[0] ?? null)];
    return Promise.all(entry.targets.map((target, index) => this.#probe(entry, target, call, slots[index] ?? null)));
  }

  async #probe(entry: Entry, target: Endpoint, call: HeartbeatCall, slot: KeptSlot | null): Promise<ProbeOutcome> {
    const { callers, policy, time } = this.#ports;
    const caller = callers.get(target.protocol);
    if (caller === undefined) {
      return { kind: 'failed', text: `this registry cannot call ${target.protocol} endpoints`, ms: 0 };
    }
    const attempt = (): Promise<ProbeOutcome> => caller.call(target, call, policy.timeoutMs, slot ?? undefined);
    for (const repeatMs of CLOSED_RETRIES_MS) {
      const outcome = await attempt();
      if (outcome.kind !== 'closed' || this.#closed || !entry.present) return outcome;
      await sleep(time, repeatMs, { background: true });
    }
    return attempt();
  }

  /** Resolves when one more call may be under way. */
  #acquire({ source }: Entry): Promise<Waiter> {
    return new Promise((resolve) => {
      const waiter: Waiter = { source, isNew: true, places: 1, lane: null, admit: () => resolve(waiter) };
      this.#limiter.enqueue(waiter, 'urgent');
    });
  }

  /** Evaluates the outcomes of a round and reports them to the engine. */
  #evaluate(turn: ProbeState, round: Round, purpose: Purpose, outcomes: readonly ProbeOutcome[]): void {
    const { entry } = turn;
    const { time, engine, policy, beats } = this.#ports;
    const unable = outcomes.find((outcome) => outcome.kind === 'unable');
    if (unable !== undefined) return this.#postpone(turn, unable.text);
    const verdicts = outcomes.map((outcome, index) => faultOf(outcome, round.nonce, entry, entry.targets[index]));
    const faults = verdicts.filter((fault) => fault !== null);
    const slowest = Math.max(...outcomes.map((outcome) => outcome.ms));
    if (faults.length === 0) {
      turn.failed = 0;
      beats.recordAnswer(entry, slowest);
      round.answered = true;
      if (engine.apply(entry, { type: 'heartbeat-1' }) && round.quoted) this.#proved(entry);
      return;
    }
    if (slowest > 2 * policy.timeoutMs) {
      // this process stalled and did not read, so the outcome says nothing about the instance: call again
      turn.wantedAt = time.now();
      return;
    }
    turn.connections.close();
    const text = joinFaults(faults);
    beats.recordMiss(entry, text);
    const refused = outcomes.every((outcome) => outcome.kind === 'refused');
    // a registry that runs late may not have read the answer: counting that would be a judgement by silence
    const counts = refused || !engine.isBehind;
    const confirmed = turn.failed > 0 && purpose === 'beat' && counts;
    const partly = faults.length < outcomes.length;
    turn.failed += Number(counts);
    if (refused && entry.line === null && entry.lineClosedAt !== null) engine.apply(entry, { type: 'proof', text });
    else engine.apply(entry, { type: 'call-failed', text, refused, partly, confirmed });
  }

  /** This process could not send the call, for which the instance is not to blame: the call stays due. */
  #postpone(turn: ProbeState, text: string): void {
    const { time, engine, log } = this.#ports;
    const now = time.now();
    engine.callQueued(turn.entry, turn.lastStartedAt);
    turn.wantedAt = now + UNABLE_RETRY_MS;
    if (now - this.#unableLoggedAt < UNABLE_LOG_EVERY_MS) return;
    this.#unableLoggedAt = now;
    log.error(`The registry could not call ${turn.entry.id}: ${text}. Allow it more open files (ulimit -n) or memory.`);
  }

  #proved(entry: Entry): void {
    const wasUnverified = !entry.vitals.proved;
    if (!this.#ports.engine.apply(entry, { type: 'proved' })) return;
    const turn = this.#states.get(entry);
    // a call that is already scheduled is among those of unverified instances
    if (wasUnverified && turn !== undefined && turn.nextAt < Infinity) this.#schedule(turn, turn.nextAt);
    if (entry.vitals.phase === 'HEALTHY') return;
    const soon = this.#ports.time.now() + RECHECK_SHARE * this.#ports.policy.intervalMs;
    if (turn !== undefined && turn.nextAt > soon) this.#schedule(turn, soon);
  }
}

/** True if, without this request, it would be called later than `at`, or as an ordinary call. */
function isLaterThan(turn: ProbeState, at: number): boolean {
  if (turn.lane !== null) return turn.lane === 'ordinary';
  return (turn.calling ? turn.wantedAt : turn.nextAt) > at;
}
