import { addressOf, randomWord, sleep } from '@rollcall/core';
import type { Endpoint, Policy, Protocol, Purpose, Random, Time, Timer } from '@rollcall/core';
import { Agenda } from './agenda.js';
import type { Caller, CallOutcome } from './caller/caller.js';
import { signCall } from './credential.js';
import type { Judge } from './judge.js';
import type { Entry, Round } from './roster.js';

export interface RollPorts {
  readonly time: Time;
  readonly random: Random;
  readonly policy: Policy;
  readonly judge: Judge;
  readonly callers: ReadonlyMap<Protocol, Caller>;
  /** Who calls: `^[A-Za-z0-9_-]{8,64}$`. */
  readonly replica: string;
}

/** A dying process closes its sockets one after another: accepted and closed without an answer is asked again after these. */
const DYING_REPEATS_MS = [10, 20, 40, 80];
const ROUNDS_KEPT = 3;
/** Of all that went wrong in a call, so many characters are told. */
const MOST_TOLD = 1_000;
/** After a proof the next call comes this soon (in intervals) until the instance is HEALTHY. */
const HASTE = 0.2;
/** Spreads the slots of instances evenly over the interval, whatever their number: the golden ratio's fractions. */
const GOLDEN = 0.618_033_988_749_895;

/** Where one instance stands in the roll. */
interface Turn {
  readonly entry: Entry;
  /** Its place in the interval, 0 … 1. */
  readonly slot: number;
  /** When it is called next; Infinity while nothing is scheduled. */
  nextAt: number;
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

/** Calls the roll: every instance once an interval on all its endpoints, at once where something happened. One timer. */
export class Roll {
  readonly #ports: RollPorts;
  readonly #turns = new WeakMap<Entry, Turn>();
  readonly #agenda = new Agenda<Turn>();
  readonly #origin: number;
  #timer: Timer | null = null;
  #timerAt = Infinity;
  #count = 0;
  #closed = false;

  constructor(ports: RollPorts) {
    this.#ports = ports;
    this.#origin = ports.time.now();
  }

  /** Takes an instance into the roll; `spread`: its first call comes in its slot instead of at once. */
  add(entry: Entry, options: { readonly spread: boolean }): void {
    this.#count += 1;
    const slot = (this.#count * GOLDEN) % 1;
    const turn: Turn = {
      entry,
      slot,
      nextAt: Infinity,
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

  /** Calls it now, or right after the call that is under way; with `gapMs` not sooner than that after its last call began. */
  callNow(entry: Entry, gapMs = 0): void {
    const turn = this.#turns.get(entry);
    if (turn === undefined || turn.held || !entry.present) return;
    const at = Math.max(this.#ports.time.now(), turn.lastStartedAt + gapMs);
    if (turn.calling) turn.wantedAt = Math.min(turn.wantedAt, at);
    else if (turn.nextAt > at) this.#schedule(turn, at);
    turn.urgent = true;
  }

  /** Holds its calls while a question about its address is open; releasing calls it at once. */
  hold(entry: Entry, held: boolean): void {
    const turn = this.#turns.get(entry);
    if (turn === undefined || turn.held === held) return;
    turn.held = held;
    if (!held) this.callNow(entry);
  }

  /** A Heartbeat-2 quoted `nonce`. */
  quoted(entry: Entry, nonce: string): void {
    const round = entry.rounds.find((candidate) => candidate.nonce === nonce);
    if (round === undefined || round.quoted) return;
    round.quoted = true;
    if (round.answered) this.#proved(entry);
  }

  /** Asks one address who is there, as an opinion that is remembered by nobody. Null: no answer. */
  async opinion(entry: Entry, target: Endpoint): Promise<string | null> {
    const nonce = randomWord(this.#ports.random, 22);
    const outcome = await this.#ask(entry, target, nonce, 'opinion');
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
    this.#agenda.put(at, turn);
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
    for (let next = this.#agenda.take(now); next !== null; next = this.#agenda.take(now)) {
      const turn = next.item;
      if (turn.nextAt !== next.at) continue; // it was moved meanwhile
      turn.nextAt = Infinity;
      if (turn.entry.present && !turn.calling && !turn.held) void this.#round(turn);
    }
    this.#arm();
  }

  /** One round: the same nonce on every endpoint. */
  async #round(turn: Turn): Promise<void> {
    const { entry } = turn;
    const purpose: Purpose = turn.urgent || entry.vitals.phase !== 'HEALTHY' ? 'urgent' : 'beat';
    turn.urgent = false;
    turn.calling = true;
    turn.wantedAt = Infinity;
    turn.lastStartedAt = this.#ports.time.now();
    const round: Round = { nonce: randomWord(this.#ports.random, 22), answered: false, quoted: false };
    entry.rounds = [...entry.rounds.slice(1 - ROUNDS_KEPT), round];
    const { targets } = entry;
    const outcomes = await Promise.all(targets.map((target) => this.#ask(entry, target, round.nonce, purpose)));
    turn.calling = false;
    if (this.#closed || !entry.present) return;
    if (entry.targets === targets) this.#hear(turn, round, purpose, outcomes);
    else turn.wantedAt = this.#ports.time.now();
    if (!entry.present) return;
    if (turn.nextAt === Infinity || turn.wantedAt < turn.nextAt) {
      this.#schedule(turn, Math.min(turn.wantedAt, this.#nextSlot(turn)));
    }
  }

  async #ask(entry: Entry, target: Endpoint, nonce: string, purpose: Purpose): Promise<CallOutcome> {
    const { callers, policy, time, replica } = this.#ports;
    const caller = callers.get(target.protocol);
    if (caller === undefined) {
      return { kind: 'failed', text: `this registry cannot call ${target.protocol} endpoints`, ms: 0 };
    }
    const call = signCall(entry.credential, { replica, instance: entry.id, nonce, purpose });
    for (const repeatMs of DYING_REPEATS_MS) {
      const outcome = await caller.call(target, call, policy.timeoutMs);
      if (outcome.kind !== 'closed' || this.#closed || !entry.present) return outcome;
      await sleep(time, repeatMs, { background: true });
    }
    return caller.call(target, call, policy.timeoutMs);
  }

  /** What a round says of the instance. */
  #hear(turn: Turn, round: Round, purpose: Purpose, outcomes: readonly CallOutcome[]): void {
    const { entry } = turn;
    const { time, judge, policy } = this.#ports;
    const verdicts = outcomes.map((outcome, index) => faultOf(outcome, round.nonce, entry, entry.targets[index]));
    const faults = verdicts.filter((fault) => fault !== null);
    const slowest = Math.max(...outcomes.map((outcome) => outcome.ms));
    if (faults.length === 0) {
      turn.failed = 0;
      Object.assign(entry.heartbeat1, { lastAt: time.now(), roundTripMs: slowest, misses: 0, error: null });
      round.answered = true;
      if (judge.apply(entry, { type: 'heartbeat-1' }) && round.quoted) this.#proved(entry);
      return;
    }
    if (slowest > 2 * policy.timeoutMs) {
      turn.wantedAt = time.now(); // this process did not listen, which is nobody's fault: ask again
      return;
    }
    entry.heartbeat1.misses += 1;
    entry.heartbeat1.error = lineOf(faults);
    const refused = outcomes.every((outcome) => outcome.kind === 'refused');
    const confirmed = turn.failed > 0 && purpose === 'beat';
    const partly = faults.length < outcomes.length;
    turn.failed += 1;
    const text = entry.heartbeat1.error;
    if (refused && entry.line === null && entry.lineClosedAt !== null) judge.apply(entry, { type: 'proof', text });
    else judge.apply(entry, { type: 'call-failed', text, refused, partly, confirmed });
  }

  #proved(entry: Entry): void {
    if (!this.#ports.judge.apply(entry, { type: 'proved' }) || entry.vitals.phase === 'HEALTHY') return;
    const turn = this.#turns.get(entry);
    const soon = this.#ports.time.now() + HASTE * this.#ports.policy.intervalMs;
    if (turn !== undefined && turn.nextAt > soon) this.#schedule(turn, soon);
  }
}

/** Why an outcome is no answer of this instance, with its address; null when it is one. */
function faultOf(outcome: CallOutcome, nonce: string, entry: Entry, target: Endpoint | undefined): string | null {
  if (outcome.kind !== 'answered') return outcome.text;
  const where = target === undefined ? 'its address' : addressOf(target);
  if (outcome.instance !== entry.id) return `another process (${printable(outcome.instance)}) answers at ${where}`;
  return outcome.nonce === nonce ? null : `an answer to another call came from ${where}`;
}

/** For a reason, which everybody reads: on one line, and not too long. A stranger's certificate, quoted in an error, may be neither. */
function lineOf(faults: readonly string[]): string {
  const line = faults.join('; ').replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]/gu, '?');
  return line.length <= MOST_TOLD ? line : `${line.slice(0, MOST_TOLD - 1)}…`;
}

const printable = (id: string): string => (/^[A-Za-z0-9._~-]{1,128}$/.test(id) ? id : 'with no valid id');
