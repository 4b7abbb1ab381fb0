import type { Event } from './lifecycle.js';
import type { Cause, Fleet, Phase } from './vitals.js';

/** Times of the default policy, ms. */
export const INTERVAL = 5_000;
const TIMEOUT = 2_000;
const HALF_LIFE = 600_000;

/** The events of an instance. */
type Row =
  | 'proved'
  | 'heartbeat-2'
  | 'heartbeat-1'
  | 'refused or confirmed'
  | 'refused'
  | 'proof of death'
  | 'doubt'
  | 'drain'
  | 'end'
  | 'register again'
  | 'register elsewhere'
  | 'shared';

/** `-`: no change. `second`: HEALTHY by the second consecutive proof. `by proof …`: only if it is CRITICAL or DEREGISTERING by proof. */
type Cell =
  | '-'
  | Phase
  | 'second'
  | 'restart'
  | 'by proof: UNHEALTHY'
  | 'by proof: one way'
  | 'one way'
  | 'by proof'
  | 'ended';

type Line = readonly [
  REGISTERING: Cell,
  HEALTHY: Cell,
  UNHEALTHY: Cell,
  CRITICAL: Cell,
  DEREGISTERING: Cell,
  LEAVING: Cell,
];
const COLUMNS: readonly Phase[] = ['REGISTERING', 'HEALTHY', 'UNHEALTHY', 'CRITICAL', 'DEREGISTERING', 'LEAVING'];

/** The state table of the protocol, written independently of the lifecycle. */
const TABLE: Readonly<Record<Row, Line>> = {
  // the heartbeat that completes a proof saves a DEREGISTERING instance before the proof counts
  proved: ['HEALTHY', '-', 'second', 'second', '-', '-'],
  'heartbeat-2': ['-', '-', '-', 'by proof: UNHEALTHY', 'restart', '-'],
  'heartbeat-1': ['-', '-', '-', 'by proof: one way', 'one way', '-'],
  'refused or confirmed': ['-', 'UNHEALTHY', '-', '-', '-', '-'],
  refused: ['-', 'UNHEALTHY', '-', '-', '-', 'ended'],
  'proof of death': ['by proof', 'by proof', 'by proof', 'by proof', '-', 'ended'],
  doubt: ['-', '-', '-', 'by proof: UNHEALTHY', 'by proof: UNHEALTHY', '-'],
  drain: ['LEAVING', 'LEAVING', 'LEAVING', 'LEAVING', 'LEAVING', '-'],
  end: ['ended', 'ended', 'ended', 'ended', 'ended', 'ended'],
  'register again': ['-', '-', '-', '-', 'restart', '-'],
  'register elsewhere': ['-', 'REGISTERING', 'REGISTERING', 'REGISTERING', 'restart', '-'],
  shared: ['UNHEALTHY', 'UNHEALTHY', 'UNHEALTHY', '-', '-', '-'],
};

/** One instance that follows that table, independent of the implementation of the lifecycle. */
export class Model {
  phase: Phase = 'REGISTERING';
  cause: Cause | null = null;
  removed: 'gone' | 'for good' | null = null;
  permits = 0;
  #now = 0;
  #since = 0;
  #causeSince = 0;
  #bornAt = 0;
  #proved = false;
  /** When every endpoint last answered, when any of them did, and when the instance last sent Heartbeat-2. */
  #allAt = 0;
  #anyAt = 0;
  #beatAt = 0;
  /** When a heartbeat arrived again after 2 intervals + timeout of silence. */
  #backAt = 0;
  /** Times of the consecutive refusals since a restart without a heartbeat; null after the first heartbeat. */
  #refusals: number[] | null = null;
  #proofs = 0;
  #falls: number[] = [];
  #isShared = false;
  #leaveMs = 0;

  apply(event: Event, now: number, fleet: Fleet): void {
    this.#now = now;
    if (this.removed !== null) return;
    switch (event.type) {
      case 'heartbeat-1':
        this.#markHeard();
        this.#allAt = now;
        this.#anyAt = now;
        return this.#enter('heartbeat-1');
      case 'heartbeat-2':
        this.#markHeard();
        this.#beatAt = now;
        return this.#enter('heartbeat-2');
      case 'line':
        this.#refusals = null;
        return;
      case 'proved':
        return this.#prove();
      case 'call-failed':
        return this.#fail(event, fleet);
      case 'proof':
        this.#proofs = 0;
        if (fleet.permit.mass) this.#refuse(fleet);
        return this.#enter(fleet.permit.mass ? 'refused' : 'proof of death');
      case 'drain':
        if (this.phase !== 'LEAVING') this.#leaveMs = event.deadlineMs + INTERVAL;
        if (this.phase !== 'LEAVING') this.#refusals = null;
        return this.#enter('drain');
      case 'register':
        if (this.phase !== 'LEAVING') this.#refusals = null;
        return event.moved ? this.#move() : this.#enter('register again');
      case 'shared':
        if (this.#isShared) return;
        this.#isShared = this.phase === 'REGISTERING' || this.phase === 'HEALTHY' || this.phase === 'UNHEALTHY';
        return this.#enter('shared');
      case 'unshared':
        this.#isShared = false;
        return;
      case 'doubt':
      case 'end':
        return this.#enter(event.type);
      case 'restart':
        this.#refusals = [];
        return this.#delay(Infinity);
      default:
        throw new Error(`time passes by itself; it is not an event here: ${event.type}`);
    }
  }

  /** The registry did not listen for `ms`: all clocks move by that time, but not past now. */
  forgive(ms: number, now: number): void {
    this.#now = now;
    this.#delay(ms);
  }

  /** Applies the events of time alone; several may be due at once. */
  pass(now: number, fleet: Fleet): void {
    this.#now = now;
    let before: string;
    do {
      before = `${this.phase} ${this.cause} ${this.removed}`;
      if (this.removed === null) this.#tick(fleet);
    } while (before !== `${this.phase} ${this.cause} ${this.removed}`);
  }

  #tick(fleet: Fleet): void {
    const silent = (intervals: number) => this.#silentFor(intervals * INTERVAL + TIMEOUT);
    const passed = (since: number, intervals: number): boolean => this.#now - since >= intervals * INTERVAL;
    switch (this.phase) {
      case 'REGISTERING':
        if (!passed(this.#bornAt, 6)) return;
        if (silent(2).both) return this.#fallTo('CRITICAL', 'unproved');
        return fleet.otherCallable ? this.#asPermitted('unproved', fleet) : this.#fallTo('UNHEALTHY');
      case 'HEALTHY':
        if (silent(2).one) this.#fallTo('UNHEALTHY');
        return;
      case 'UNHEALTHY':
        if (silent(fleet.otherCallable ? 3 : 6).both) return this.#asPermitted('silence', fleet);
        if (!silent(3).one || silent(2).both || !fleet.otherHealthy || this.#isShared) return;
        if (this.#now - this.#backAt >= INTERVAL + TIMEOUT) this.#asPermitted('one-way', fleet);
        return;
      case 'CRITICAL':
        if (this.cause === 'proof') {
          if (passed(this.#causeSince, 1) && !fleet.permit.mass) this.#fallTo('DEREGISTERING', 'proof');
        } else if (!fleet.otherCallable && !silent(2).both) this.#fallTo('UNHEALTHY');
        else if (silent(3).both && passed(this.#causeSince, 2)) this.#fallTo('DEREGISTERING', 'silence');
        return;
      case 'DEREGISTERING':
        if (passed(this.#since, 1)) this.removed = 'gone';
        return;
      case 'LEAVING':
        if (this.#now - this.#since >= this.#leaveMs) this.removed = 'for good';
    }
  }

  /** Silence acts as far as self-preservation permits it; an instance that was never proved and is silent both ways needs no permit. */
  #asPermitted(cause: Cause, { permit }: Fleet): void {
    const isFree = cause === 'silence' && (!this.#proved || this.#wasGone(permit));
    if (!isFree && permit.held !== null) {
      if (this.phase !== 'UNHEALTHY') this.#fallTo('UNHEALTHY');
      return;
    }
    if (!isFree) this.permits += 1;
    this.#fallTo('CRITICAL', cause);
  }

  /** True if the registry never received a heartbeat from the instance, and a proved host refused for a while. */
  #wasGone({ mass, hostProved }: Fleet['permit']): boolean {
    const [first, ...others] = this.#refusals ?? [];
    const last = others.at(-1);
    if (first === undefined || last === undefined) return false;
    return hostProved && !mass && last - first >= 1.5 * INTERVAL;
  }

  #markHeard(): void {
    if (this.#silentFor(2 * INTERVAL + TIMEOUT).both) this.#backAt = this.#now;
    this.#refusals = null;
  }

  #silentFor(ms: number): { readonly one: boolean; readonly both: boolean } {
    const isSilent = this.#now - this.#beatAt >= ms;
    return { one: isSilent || this.#now - this.#allAt >= ms, both: isSilent && this.#now - this.#anyAt >= ms };
  }

  #prove(): void {
    if (this.phase === 'DEREGISTERING' || this.phase === 'LEAVING') return;
    this.#proved = true;
    this.#proofs += 1;
    if (!this.#isShared) this.#enter('proved');
  }

  /** A refusal counts only if the host itself sends it. */
  #refuse({ permit }: Fleet): void {
    if (this.#refusals === null) return;
    this.#refusals = permit.hostProved ? [...this.#refusals, this.#now] : [];
  }

  #fail({ partly, refused, confirmed }: Extract<Event, { type: 'call-failed' }>, fleet: Fleet): void {
    this.#proofs = 0;
    if (partly) {
      this.#markHeard();
      this.#anyAt = this.#now;
      return;
    }
    if (refused) this.#refuse(fleet);
    else if (this.#refusals !== null) this.#refusals = [];
    if (refused) this.#enter('refused');
    else if (confirmed) this.#enter('refused or confirmed');
  }

  #move(): void {
    if (this.phase === 'LEAVING') return;
    this.#proved = false;
    this.#isShared = false;
    this.#restartClocks();
    this.#bornAt = this.#now;
    this.#enter('register elsewhere');
  }

  #enter(row: Row): void {
    const cell = TABLE[row][COLUMNS.indexOf(this.phase)] ?? '-';
    switch (cell) {
      case '-':
        return;
      case 'second': {
        const score = this.#falls.reduce((sum, at) => sum + 0.5 ** ((this.#now - at) / HALF_LIFE), 0);
        if (this.#proofs >= (score > 3 ? 5 : 2)) this.#fallTo('HEALTHY');
        return;
      }
      case 'restart':
        this.#restartClocks();
        return this.#fallTo('UNHEALTHY');
      case 'by proof: UNHEALTHY':
        if (this.cause !== 'proof') return;
        if (row === 'heartbeat-2') this.#restartClocks();
        return this.#fallTo('UNHEALTHY');
      case 'by proof: one way':
        if (this.cause !== 'proof') return;
        this.cause = 'one-way';
        this.#causeSince = this.#now;
        return;
      case 'one way':
        return this.#fallTo('CRITICAL', 'one-way');
      case 'by proof':
        if (this.phase !== 'CRITICAL' || this.cause !== 'proof') this.#fallTo('CRITICAL', 'proof');
        return;
      case 'ended':
        this.removed = 'for good';
        return;
      default:
        this.#fallTo(cell);
    }
  }

  #restartClocks(): void {
    this.#allAt = this.#now;
    this.#anyAt = this.#now;
    this.#beatAt = this.#now;
  }

  #fallTo(phase: Phase, cause: Cause | null = null): void {
    if (this.phase === 'HEALTHY' && (phase === 'UNHEALTHY' || phase === 'CRITICAL')) this.#falls.push(this.#now);
    if (phase !== this.phase) this.#since = this.#now;
    this.#causeSince = this.#now;
    if (phase !== this.phase) this.#proofs = 0;
    this.phase = phase;
    this.cause = cause;
  }

  #delay(ms: number): void {
    const later = (at: number): number => Math.min(this.#now, at + ms);
    this.#allAt = later(this.#allAt);
    this.#anyAt = later(this.#anyAt);
    this.#beatAt = later(this.#beatAt);
    this.#bornAt = later(this.#bornAt);
    this.#backAt = later(this.#backAt);
    this.#since = later(this.#since);
    this.#causeSince = later(this.#causeSince);
  }
}
