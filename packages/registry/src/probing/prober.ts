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
import type { LifecycleEngine, Progress } from '../lifecycle/engine.js';
import { BatchSize } from './batch-size.js';
import { ConcurrencyLimiter } from './concurrency-limiter.js';
import { KeptConnections } from './kept-connections.js';
import { Lateness } from './lateness.js';
import { faultOf, lineOf } from './probe-failure.js';
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
  readonly beats: Pick<HeartbeatLog, 'answered' | 'unanswered'>;
  readonly callers: ReadonlyMap<EndpointProtocol, ProbeProtocol>;
  /** Who calls: `^[A-Za-z0-9_-]{8,64}$`. */
  readonly replica: string;
  /** Calls under way at the same time; the others wait, and nobody is blamed for it. */
  readonly maxCalls: number;
  /** One in so many ordinary calls of an instance opens a connection; the others come over the one that it left. 1: each does. */
  readonly freshEvery: number;
}

/** How punctual the calls are. */
export interface Punctuality {
  /** Of a hundred calls of the last interval or two, 99 began at most so many ms after they were due. */
  readonly p99Ms: number;
  /** Instances whose call is due and waits for others to end. */
  readonly waiting: number;
}

/** A dying process closes its sockets one after another: accepted and closed without an answer is asked again after these. */
const DYING_REPEATS_MS = [10, 20, 40, 80];
const ROUNDS_KEPT = 3;
/** After a proof the next call comes this soon (in intervals) until the instance is HEALTHY. */
const HASTE = 0.2;
/** Spreads the slots of instances evenly over the interval, whatever their number: the golden ratio's fractions. */
const GOLDEN = 0.618_033_988_749_895;

/** What this process could not even send is tried again this soon, in ms, and told this seldom. */
const UNABLE_RETRY_MS = 500;
const UNABLE_TOLD_MS = 60_000;

/** Where one instance stands in the roll. */
interface Turn extends Waiter {
  readonly entry: Entry;
  /** Its place in the interval, 0 … 1. */
  readonly slot: number;
  places: number;
  isNew: boolean;
  readonly berths: KeptConnections;
  /** When it is called next; Infinity while nothing is scheduled. */
  nextAt: number;
  /** When the call that waits, or is under way, was due. */
  dueAt: number;
  /** Was the coming call asked for, outside its slot? */
  urgent: boolean;
  calling: boolean;
  /** For when a call was asked for while another was under way; Infinity: for none. */
  wantedAt: number;
  lastStartedAt: number;
  /** Failed calls in a row. */
  failed: number;
  /** A question about its address is open: no ordinary call until it is answered. */
  held: boolean;
}

/**
 * Calls the roll: every instance once an interval on all its endpoints, at once where something happened. One timer. When more is
 * due than may be under way, or this process is busy, calls come late: then the clocks of those who wait stand still.
 */
export class Prober implements Progress {
  readonly #ports: ProberPorts;
  readonly #turns = new WeakMap<Entry, Turn>();
  readonly #agenda = new ProbeSchedule<Turn>();
  readonly #concurrencyLimiter: ConcurrencyLimiter;
  readonly #pace: BatchSize;
  readonly #lateness: Lateness;
  readonly #lateSeconds: Histogram;
  readonly #origin: number;
  #timer: Timer | null = null;
  #timerAt = Infinity;
  #count = 0;
  #unableToldAt = -Infinity;
  #closed = false;

  constructor(ports: ProberPorts) {
    this.#ports = ports;
    this.#origin = ports.time.now();
    this.#concurrencyLimiter = new ConcurrencyLimiter(ports.maxCalls);
    this.#pace = new BatchSize(ports.policy.intervalMs, this.#origin);
    this.#lateness = new Lateness(ports.policy.intervalMs, this.#origin);
    this.#lateSeconds = ports.meter.histogram(
      'rollcall_registry_heartbeat1_lateness_seconds',
      'How long after it was due a call of an instance began.',
    );
  }

  get behindMs(): number {
    return Math.max(0, this.#ports.time.now() - this.#agenda.knownAt);
  }

  get strangersBehindMs(): number {
    return Math.max(0, this.#ports.time.now() - this.#agenda.strangersAt);
  }

  dueAt(entry: Entry): number {
    const turn = this.#turns.get(entry);
    return turn === undefined || turn.held ? Infinity : turn.nextAt;
  }

  lateness(): Punctuality {
    return { p99Ms: this.#lateness.quantile(0.99, this.#ports.time.now()), waiting: this.#concurrencyLimiter.waiting };
  }

  /** Takes an instance into the roll; `spread`: its first call comes in its slot instead of at once. */
  add(entry: Entry, options: { readonly spread: boolean }): void {
    this.#count += 1;
    const slot = (this.#count * GOLDEN) % 1;
    const turn: Turn = {
      entry,
      source: `${entry.source} ${entry.token ?? ''}`,
      isNew: true,
      slot,
      places: 1,
      lane: null,
      pass: (lane) => this.#begin(turn, lane),
      berths: new KeptConnections(),
      nextAt: Infinity,
      dueAt: Infinity,
      urgent: !options.spread,
      calling: false,
      wantedAt: Infinity,
      lastStartedAt: -Infinity,
      failed: 0,
      held: false,
    };
    this.#turns.set(entry, turn);
    this.#schedule(turn, options.spread ? this.#nextSlot(turn) : this.#ports.time.now());
  }

  /**
   * Calls it now, or right after the call that is under way; with `gapMs` not sooner than that after its last call began. `mayHasten` is
   * asked where that is sooner than it would be called anyway.
   */
  callNow(entry: Entry, gapMs = 0, mayHasten: () => boolean = () => true): void {
    const turn = this.#turns.get(entry);
    if (turn === undefined || turn.held || !entry.present) return;
    const at = Math.max(this.#ports.time.now(), turn.lastStartedAt + gapMs);
    if (isLaterThan(turn, at) && !mayHasten()) return;
    turn.urgent = true;
    if (turn.lane !== null) this.#concurrencyLimiter.hasten(turn);
    else if (turn.calling) turn.wantedAt = Math.min(turn.wantedAt, at);
    else if (turn.nextAt > at) this.#schedule(turn, at);
  }

  /** Holds its calls while a question about its address is open; releasing calls it at once. */
  hold(entry: Entry, held: boolean): void {
    const turn = this.#turns.get(entry);
    if (turn === undefined || turn.held === held) return;
    turn.held = held;
    if (held) turn.berths.close();
    else this.callNow(entry);
  }

  /** A Heartbeat-2 came. Who is back after it was silent both ways is called at once: it may have been frozen, and answers again. */
  heard(entry: Entry, { nonce, isBack }: { readonly nonce: string | null; readonly isBack: boolean }): void {
    if (isBack) this.callNow(entry);
    const round = entry.rounds.find((candidate) => candidate.nonce === nonce);
    if (round === undefined || round.quoted) return;
    round.quoted = true;
    if (round.answered) this.#proved(entry);
  }

  /** Asks one address who is there, as an opinion that is remembered by nobody. Null: no answer. */
  async opinion(entry: Entry, target: Endpoint): Promise<string | null> {
    const { random, replica } = this.#ports;
    const nonce = randomWord(random, 22);
    const call = signCall(entry.credential, { replica, instance: entry.id, nonce, purpose: 'opinion' });
    const place = await this.#place(entry);
    const outcome = await this.#ask(entry, target, call, null).finally(() =>
      this.#concurrencyLimiter.leave(place, 'urgent'),
    );
    return outcome.kind === 'answered' && outcome.nonce === nonce ? outcome.instance : null;
  }

  /** No call starts any more. May be called twice. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    for (const caller of this.#ports.callers.values()) caller.close();
  }

  #schedule(turn: Turn, at: number): void {
    turn.nextAt = at;
    this.#agenda.put(at, turn, !turn.entry.vitals.proved);
    this.#arm();
  }

  /** The next time that is this turn's own place in the interval. */
  #nextSlot(turn: Turn): number {
    const { intervalMs } = this.#ports.policy;
    const now = this.#ports.time.now();
    const place = this.#origin + turn.slot * intervalMs;
    const next = place + (Math.floor((now - place) / intervalMs) + 1) * intervalMs;
    // rounded, it may be this very moment, which is over
    return next > now ? next : next + intervalMs;
  }

  #arm(): void {
    if (this.#closed || this.#agenda.nextAt >= this.#timerAt) return;
    this.#timer?.cancel();
    this.#timerAt = this.#agenda.nextAt;
    const ms = Math.max(0, this.#timerAt - this.#ports.time.now());
    this.#timer = this.#ports.time.setTimer(ms, () => this.#run(), { background: true });
  }

  #run(): void {
    this.#timerAt = Infinity;
    const now = this.#ports.time.now();
    this.#agenda.begin(now, this.#pace.turn(now), (turn, at) => this.#onDue(turn, at));
    this.#arm();
  }

  /** False for an appointment that was moved meanwhile, or with one who is not there. */
  #onDue(turn: Turn, at: number): boolean {
    if (turn.nextAt !== at) return false;
    turn.nextAt = Infinity;
    if (!turn.entry.present) turn.berths.close();
    if (!turn.entry.present || turn.calling || turn.held || turn.lane !== null) return false;
    this.#arrive(turn, at);
    return true;
  }

  /** Its call is due: it begins now, or waits until others have ended. */
  #arrive(turn: Turn, dueAt: number): void {
    const { entry } = turn;
    const known: Lane = turn.urgent || entry.vitals.phase !== 'HEALTHY' ? 'urgent' : 'ordinary';
    turn.dueAt = dueAt;
    turn.places = entry.targets.length;
    turn.isNew = turn.lastStartedAt === -Infinity;
    this.#concurrencyLimiter.arrive(turn, entry.vitals.proved ? known : 'stranger');
    if (turn.lane !== null) this.#ports.engine.awaits(entry, dueAt);
  }

  #begin(turn: Turn, lane: Lane): void {
    const { time, engine } = this.#ports;
    const now = time.now();
    engine.called(turn.entry, turn.dueAt);
    if (turn.held || this.#closed || !turn.entry.present) {
      this.#concurrencyLimiter.leave(turn, lane);
      return;
    }
    this.#lateness.record(now - turn.dueAt, now);
    this.#lateSeconds.record((now - turn.dueAt) / 1_000);
    turn.calling = true;
    turn.wantedAt = Infinity;
    turn.lastStartedAt = now;
    void this.#round(turn).finally(() => this.#concurrencyLimiter.leave(turn, lane));
  }

  /** One round: the same nonce on every endpoint. */
  async #round(turn: Turn): Promise<void> {
    const { entry } = turn;
    const { random, replica, freshEvery } = this.#ports;
    const purpose: Purpose = turn.urgent || entry.vitals.phase !== 'HEALTHY' ? 'urgent' : 'beat';
    turn.urgent = false;
    const round: Round = { nonce: randomWord(random, 22), answered: false, quoted: false };
    // a spread would leave room for seventeen, with every instance
    entry.rounds = entry.rounds.slice(1 - ROUNDS_KEPT).concat(round);
    const { targets } = entry;
    // only what is well is called over a connection that is kept
    const moored = purpose === 'beat' && freshEvery > 1 ? turn.berths.moor(targets, freshEvery) : null;
    const signed = signCall(entry.credential, { replica, instance: entry.id, nonce: round.nonce, purpose });
    const call = moored?.keep === true ? { ...signed, keep: true } : signed;
    const outcomes = await this.#askAll(entry, call, moored?.berths ?? []);
    turn.calling = false;
    if (this.#closed || !entry.present) return turn.berths.close();
    if (entry.targets === targets) this.#hear(turn, round, purpose, outcomes);
    else turn.wantedAt = this.#ports.time.now();
    if (!entry.present) return turn.berths.close();
    if (turn.nextAt === Infinity || turn.wantedAt < turn.nextAt) {
      this.#schedule(turn, Math.max(this.#ports.time.now(), Math.min(turn.wantedAt, this.#nextSlot(turn))));
    }
  }

  async #askAll(entry: Entry, call: HeartbeatCall, berths: readonly KeptSlot[]): Promise<readonly ProbeOutcome[]> {
    const [first, ...others] = entry.targets;
    if (first === undefined) return [];
    if (others.length === 0) return [await this.#ask(entry, first, call, berths[0] ?? null)];
    return Promise.all(entry.targets.map((target, index) => this.#ask(entry, target, call, berths[index] ?? null)));
  }

  async #ask(entry: Entry, target: Endpoint, call: HeartbeatCall, berth: KeptSlot | null): Promise<ProbeOutcome> {
    const { callers, policy, time } = this.#ports;
    const caller = callers.get(target.protocol);
    if (caller === undefined) {
      return { kind: 'failed', text: `this registry cannot call ${target.protocol} endpoints`, ms: 0 };
    }
    const ask = (): Promise<ProbeOutcome> => caller.call(target, call, policy.timeoutMs, berth ?? undefined);
    for (const repeatMs of DYING_REPEATS_MS) {
      const outcome = await ask();
      if (outcome.kind !== 'closed' || this.#closed || !entry.present) return outcome;
      await sleep(time, repeatMs, { background: true });
    }
    return ask();
  }

  /** Resolves when one call more may be under way. */
  #place({ source }: Entry): Promise<Waiter> {
    return new Promise((resolve) => {
      const passer: Waiter = { source, isNew: true, places: 1, lane: null, pass: () => resolve(passer) };
      this.#concurrencyLimiter.arrive(passer, 'urgent');
    });
  }

  /** What a round says of the instance. */
  #hear(turn: Turn, round: Round, purpose: Purpose, outcomes: readonly ProbeOutcome[]): void {
    const { entry } = turn;
    const { time, engine, policy, beats } = this.#ports;
    const unable = outcomes.find((outcome) => outcome.kind === 'unable');
    if (unable !== undefined) return this.#postpone(turn, unable.text);
    const verdicts = outcomes.map((outcome, index) => faultOf(outcome, round.nonce, entry, entry.targets[index]));
    const faults = verdicts.filter((fault) => fault !== null);
    const slowest = Math.max(...outcomes.map((outcome) => outcome.ms));
    if (faults.length === 0) {
      turn.failed = 0;
      beats.answered(entry, slowest);
      round.answered = true;
      if (engine.apply(entry, { type: 'heartbeat-1' }) && round.quoted) this.#proved(entry);
      return;
    }
    if (slowest > 2 * policy.timeoutMs) {
      turn.wantedAt = time.now(); // this process did not listen, which is nobody's fault: ask again
      return;
    }
    turn.berths.close();
    const text = lineOf(faults);
    beats.unanswered(entry, text);
    const refused = outcomes.every((outcome) => outcome.kind === 'refused');
    // who is behind may not have read the answer: that misses count is judging by silence
    const counts = refused || !engine.isBehind;
    const confirmed = turn.failed > 0 && purpose === 'beat' && counts;
    const partly = faults.length < outcomes.length;
    turn.failed += Number(counts);
    if (refused && entry.line === null && entry.lineClosedAt !== null) engine.apply(entry, { type: 'proof', text });
    else engine.apply(entry, { type: 'call-failed', text, refused, partly, confirmed });
  }

  /** This process could not ask, which is nobody's fault: the call is still due. */
  #postpone(turn: Turn, text: string): void {
    const { time, engine, log } = this.#ports;
    const now = time.now();
    engine.awaits(turn.entry, turn.lastStartedAt);
    turn.wantedAt = now + UNABLE_RETRY_MS;
    if (now - this.#unableToldAt < UNABLE_TOLD_MS) return;
    this.#unableToldAt = now;
    log.error(`The registry could not call ${turn.entry.id}: ${text}. Allow it more open files (ulimit -n) or memory.`);
  }

  #proved(entry: Entry): void {
    const wasStranger = !entry.vitals.proved;
    if (!this.#ports.engine.apply(entry, { type: 'proved' })) return;
    const turn = this.#turns.get(entry);
    // what is arranged already is among the strangers'
    if (wasStranger && turn !== undefined && turn.nextAt < Infinity) this.#schedule(turn, turn.nextAt);
    if (entry.vitals.phase === 'HEALTHY') return;
    const soon = this.#ports.time.now() + HASTE * this.#ports.policy.intervalMs;
    if (turn !== undefined && turn.nextAt > soon) this.#schedule(turn, soon);
  }
}

/** Would it be called later than at `at`, or among others, if nobody asked for it? */
function isLaterThan(turn: Turn, at: number): boolean {
  if (turn.lane !== null) return turn.lane === 'ordinary';
  return (turn.calling ? turn.wantedAt : turn.nextAt) > at;
}
