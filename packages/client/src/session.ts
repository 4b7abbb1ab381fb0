import { fullJitterMs, messageOf, shortId, sleep } from '@rollcall/core';
import type {
  AnnouncedEndpoint,
  Beat,
  BeatAnswer,
  HeartbeatAnswer,
  Log,
  Metadata,
  Problem,
  ProblemCode,
  Random,
  Reason,
  Registered,
  Registration,
  Result,
  State,
  Time,
  Timer,
} from '@rollcall/core';
import type { Contact } from './contact.js';
import type { Line } from './feed.js';
import { Identity } from './identity.js';
import type { Link, Proof } from './link/link.js';

/** What we tell the registry about ourselves. */
export interface Self {
  readonly service: string;
  readonly namespace: string;
  readonly version: string;
  readonly zone: string;
  readonly weight: number;
  readonly metadata: Metadata;
}

export interface SessionParts {
  readonly time: Time;
  readonly random: Random;
  readonly log: Log;
  readonly link: Link;
  readonly contact: Contact;
  readonly self: Self;
  /** Between our heartbeats until the registry has said what it wants, ms. */
  readonly intervalMs: number;
  /** `proof()` gives something else than before. */
  lineChanged(): void;
}

/**
 * `joining`: registers, or waits to; `member`: registered, beats; `leaving`: drains, beats, never registers again; `ended`: said
 * goodbye, or the registry ended us.
 */
type Phase = 'new' | 'joining' | 'member' | 'leaving' | 'ended';

/** `never` again; `unknown` to the registry; refused, so `later`, and people are told why; or not now, so `soon`. */
type Meaning = 'never' | 'unknown' | 'later' | 'soon';

const MEANINGS: Readonly<Record<ProblemCode, Meaning>> = {
  ENDED: 'never',
  NOT_FOUND: 'unknown',
  ADDRESS_TAKEN: 'later',
  ID_HELD: 'later',
  LEAVING: 'later',
  INVALID: 'later',
  UNAUTHORIZED: 'later',
  FORBIDDEN: 'later',
  METHOD_NOT_ALLOWED: 'later',
  TOO_LARGE: 'later',
  UNSUPPORTED_MEDIA_TYPE: 'later',
  MISDIRECTED: 'later',
  ADDRESS_NOT_ALLOWED: 'later',
  TOO_MANY: 'soon',
  INTERNAL: 'soon',
  NOT_READY: 'soon',
};

/** A refused registration is tried again after this, and up to a sixth more. */
const REFUSED_WAIT_MS = 30_000;
const FIRST_WAIT_MS = 100;
/** Waits stay under an interval by this much, so that a registry that is back has its full view within one interval. */
const WAIT_RATIO = 0.8;
/** Beats that have got no answer yet; more would not help. */
const MAX_BEATS_IN_FLIGHT = 8;
/** A drain that was not heard is said once more after this; a goodbye is not, for a closed port says the same. */
const DRAIN_AGAIN_MS = 100;

/**
 * Our own registration, for the life of this process: registers until it is taken, answers Heartbeat-1, sends Heartbeat-2,
 * registers again when the registry no longer knows us, drains and leaves. Nothing is sent before `start`.
 */
export class Session implements Line {
  readonly #parts: SessionParts;
  readonly #identity: Identity;
  #phase: Phase = 'new';
  #endpoints: readonly AnnouncedEndpoint[] = [];
  #intervalMs: number;
  /** A new one for each registration; null while the registry does not know us or refused the line. */
  #line: Proof | null = null;
  /** The registration under way; never rejects. */
  #joining: Promise<void> | null = null;
  #ending: Promise<void> | null = null;
  /** Does the registry have our registration, as far as we know? */
  #isListed = false;
  /** Counts registrations: the answer to an older one's beat says nothing about this one. */
  #life = 0;
  #failures = 0;
  #complaint: string | null = null;
  /** The next registration, or the next beat. */
  #timer: Timer | null = null;
  #soon: Timer | null = null;
  #seq = 0;
  #beatsInFlight = 0;
  #beatsFailed = 0;
  /** Authentically called since we registered last? */
  #isCalled = false;
  #state: State | null = null;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.#intervalMs = parts.intervalMs;
    const { time, random, self } = parts;
    this.#identity = new Identity({
      time,
      random,
      service: self.service,
      called: (isUrgent) => this.#called(isUrgent),
    });
  }

  get id(): string {
    return this.#identity.id;
  }

  /** What the registry thinks of us, as of the last beat; null before. */
  get state(): State | null {
    return this.#state;
  }

  /** Between our heartbeats, ms: what the registry wants, once it has said so. */
  get intervalMs(): number {
    return this.#intervalMs;
  }

  /** Registers with these endpoints, which listen already, and keeps us registered. Once. */
  start(endpoints: readonly AnnouncedEndpoint[]): void {
    if (this.#phase !== 'new') return;
    this.#endpoints = endpoints;
    this.#phase = 'joining';
    this.#join();
  }

  /** See `Identity.answer`: pure but for what an authentic call leaves behind, and fit for the path of a request. */
  answer(question: unknown): HeartbeatAnswer {
    return this.#identity.answer(question);
  }

  /**
   * Asks the registry to send nobody here any more, and goes on beating until `leave`. `deadlineMs`: when the registry may remove
   * us by itself. Returns how many streams watch our service, so must be waited for: null when the registry did not say.
   */
  async drain(deadlineMs: number): Promise<number | null> {
    if (this.#phase === 'new' || this.#phase === 'ended') return 0;
    if (this.#phase === 'joining') this.#timer?.cancel();
    this.#phase = 'leaving';
    await this.#joining;
    if (!this.#isListed) return 0;
    try {
      return await this.#announceDrain(deadlineMs);
    } catch {
      await sleep(this.#parts.time, DRAIN_AGAIN_MS);
    }
    try {
      return await this.#announceDrain(deadlineMs);
    } catch (error) {
      this.#parts.log.warn(`The registry did not hear that ${this.#name} drains: ${messageOf(error)}`);
      return null;
    }
  }

  /** Says goodbye and stops for good. May be called twice. */
  leave(): Promise<void> {
    this.#ending ??= this.#leave();
    return this.#ending;
  }

  // ---- the line ------------------------------------------------------------------------------------------------------

  proof(): Proof | null {
    return this.#line;
  }

  opened(): void {
    this.#beatSoon();
  }

  ended(): void {
    this.#beatSoon();
  }

  /** The answer to a beat says what to do; after a 404 that of the next regular one, which is spread over the interval. */
  refused(problem: Problem): void {
    this.#parts.log.debug(`The registry refused our line: ${problem.detail}`);
    this.#dropLine();
    if (MEANINGS[problem.code] !== 'unknown') this.#beatSoon();
  }

  gone(reason: Reason): void {
    if (this.#phase === 'ended') return;
    this.#parts.log.warn(`The registry removed ${this.#name}: ${reason.text}`);
    this.#dropLine();
    this.#beatSoon();
  }

  // ---- registration --------------------------------------------------------------------------------------------------

  #join(): void {
    if (this.#phase !== 'joining') return;
    this.#isCalled = false;
    this.#joining = this.#register().finally(() => {
      this.#joining = null;
    });
  }

  async #register(): Promise<void> {
    try {
      const answer = await this.#parts.link.register(this.#registration());
      this.#parts.contact.reached();
      if (answer.ok) this.#registered(answer.value);
      else this.#notRegistered(answer.problem);
    } catch (error) {
      this.#parts.contact.missed(messageOf(error));
      this.#joinAfter(this.#jitterMs());
    }
  }

  #registration(): Registration {
    return { ...this.#parts.self, ...this.#identity.proof(), endpoints: this.#endpoints };
  }

  #registered({ heartbeat }: Registered): void {
    this.#parts.log.info(`${this.#name} is registered${this.#life > 0 ? ' again' : ''}.`);
    this.#life += 1;
    this.#isListed = true;
    this.#complaint = null;
    this.#intervalMs = heartbeat.intervalMs;
    if (this.#phase !== 'joining') return;
    this.#phase = 'member';
    this.#line = this.#identity.proof();
    this.#arm(this.#intervalMs * this.#parts.random.unit(), () => this.#beatRegularly());
    if (this.#isCalled) this.#beatSoon();
    this.#parts.lineChanged();
  }

  #notRegistered(problem: Problem): void {
    const meaning = MEANINGS[problem.code];
    if (meaning === 'never') this.#end(problem);
    else if (meaning === 'soon') this.#joinAfter(Math.max(problem.retryAfterMs ?? 0, this.#jitterMs()));
    else this.#joinLater(problem);
  }

  #joinLater(problem: Problem): void {
    const flaws = (problem.flaws ?? []).map(
      (flaw) => ` ${flaw.path}: received ${flaw.received}, allowed is ${flaw.allowed}.`,
    );
    const complaint = `The registry refuses ${this.#name}: ${problem.detail}${flaws.join('')} ${problem.fix}`;
    if (complaint !== this.#complaint) this.#parts.log.error(complaint);
    this.#complaint = complaint;
    this.#joinAfter(REFUSED_WAIT_MS * (1 + this.#parts.random.unit() / 6));
  }

  #joinAfter(ms: number): void {
    if (this.#phase === 'joining') this.#arm(ms, () => this.#join());
  }

  #jitterMs(): number {
    const capMs = this.#intervalMs * WAIT_RATIO;
    const ms = fullJitterMs({ baseMs: Math.min(FIRST_WAIT_MS, capMs), capMs }, this.#failures, this.#parts.random);
    this.#failures += 1;
    return ms;
  }

  /** The registry does not list us any more. */
  #unlisted(): void {
    this.#isListed = false;
    if (this.#phase === 'member') this.#phase = 'joining';
    this.#timer?.cancel();
    this.#dropLine();
  }

  #end(problem: Problem): void {
    this.#parts.log.error(`The registry ended ${this.#name}, for good: ${problem.detail} ${problem.fix}`);
    this.#unlisted();
    this.#stop();
  }

  // ---- heartbeats ----------------------------------------------------------------------------------------------------

  /** The first call may overtake the answer to the registration: then the beat waits for that. */
  #called(isUrgent: boolean): void {
    if (isUrgent || !this.#isCalled) this.#beatSoon();
    this.#isCalled = true;
  }

  #beatRegularly(): void {
    this.#arm(this.#intervalMs, () => this.#beatRegularly());
    void this.#beat('regular');
  }

  /** A beat beside the regular ones, which keep their place in the interval: so a fleet that is called at once stays spread. */
  #beatSoon(): void {
    if (!this.#isListed || this.#phase === 'ended' || this.#soon !== null) return;
    this.#soon = this.#parts.time.setTimer(
      0,
      () => {
        this.#soon = null;
        void this.#beat('extra');
      },
      { background: true },
    );
  }

  async #beat(kind: 'regular' | 'extra'): Promise<void> {
    if (!this.#isListed || this.#beatsInFlight >= MAX_BEATS_IN_FLIGHT) return;
    const life = this.#life;
    this.#seq += 1;
    const beat: Beat = { nonce: this.#identity.nonce, seq: this.#seq };
    this.#beatsInFlight += 1;
    try {
      const answer = await this.#parts.link.beat(this.#identity.proof(), beat);
      this.#beatArrived();
      if (life === this.#life && this.#phase !== 'ended') this.#beaten(answer, kind);
    } catch (error) {
      this.#beatLost(messageOf(error));
    } finally {
      this.#beatsInFlight -= 1;
    }
  }

  #beaten(answer: Result<BeatAnswer, Problem>, kind: 'regular' | 'extra'): void {
    if (answer.ok) {
      this.#accepted(answer.value.state, kind);
      return;
    }
    const meaning = MEANINGS[answer.problem.code];
    if (meaning === 'never') this.#end(answer.problem);
    else if (meaning === 'unknown' && kind === 'regular') this.#forgotten();
    else if (meaning === 'later') this.#rejected(answer.problem);
    else this.#parts.log.debug(`The registry did not take a heartbeat: ${answer.problem.detail}`);
  }

  #accepted(state: State, kind: 'regular' | 'extra'): void {
    this.#failures = 0;
    if (state !== this.#state) this.#parts.log.info(`${this.#name} is ${state}.`);
    this.#state = state;
    if (kind === 'extra' || this.#line !== null || this.#phase !== 'member') return;
    this.#line = this.#identity.proof();
    this.#parts.lineChanged();
  }

  /** 404: register again. At once for the first time, since regular beats are spread over the interval; then with jitter. */
  #forgotten(): void {
    this.#unlisted();
    if (this.#failures === 0) this.#join();
    else this.#joinAfter(this.#jitterMs());
    this.#failures = Math.max(this.#failures, 1);
  }

  #rejected(problem: Problem): void {
    this.#unlisted();
    this.#joinLater(problem);
  }

  #beatArrived(): void {
    if (this.#beatsFailed > 1) this.#parts.log.info(`Heartbeat-2 of ${this.#name} gets through again.`);
    this.#beatsFailed = 0;
  }

  /** One loss is no news, and none is while the whole registry is away. */
  #beatLost(why: string): void {
    this.#beatsFailed += 1;
    const isNews = this.#beatsFailed === 2 && this.#parts.contact.status === 'connected' && this.#phase !== 'ended';
    if (isNews) this.#parts.log.warn(`Heartbeat-2 of ${this.#name} does not get through: ${why}`);
  }

  // ---- the end -------------------------------------------------------------------------------------------------------

  async #announceDrain(deadlineMs: number): Promise<number> {
    const answer = await this.#parts.link.drain(this.#identity.proof(), { deadlineMs });
    if (answer.ok) return answer.value.watchers;
    this.#parts.log.warn(`The registry refused the drain of ${this.#name}: ${answer.problem.detail}`);
    return 0;
  }

  async #leave(): Promise<void> {
    this.#stop();
    await this.#joining;
    if (this.#isListed) await this.#goodbye();
    this.#isListed = false;
    this.#dropLine();
  }

  async #goodbye(): Promise<void> {
    try {
      const answer = await this.#parts.link.leave(this.#identity.proof());
      if (!answer.ok) this.#parts.log.debug(`The registry refused the goodbye: ${answer.problem.detail}`);
    } catch (error) {
      this.#parts.log.debug(`The registry did not hear that ${this.#name} leaves: ${messageOf(error)}`);
    }
  }

  #stop(): void {
    this.#phase = 'ended';
    this.#timer?.cancel();
    this.#soon?.cancel();
  }

  #dropLine(): void {
    if (this.#line === null) return;
    this.#line = null;
    this.#parts.lineChanged();
  }

  #arm(ms: number, run: () => void): void {
    this.#timer?.cancel();
    this.#timer = this.#parts.time.setTimer(ms, run, { background: true });
  }

  get #name(): string {
    return shortId({ id: this.id, service: this.#parts.self.service });
  }
}
