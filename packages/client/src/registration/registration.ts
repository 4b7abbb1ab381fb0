import { messageOf, sleep } from '@rollcall/core';
import type {
  AnnouncedEndpoint,
  BeatAnswer,
  HeartbeatAnswer,
  Log,
  Metadata,
  Methods,
  Problem,
  Random,
  Reason,
  Registered,
  Result,
  State,
  Time,
  Timer,
} from '@rollcall/core';
import type { Line } from '../discovery/feed.js';
import { ThrottledLog } from '../registry-client/complaints.js';
import { waitMs } from '../registry-client/connection-status.js';
import type { Contact } from '../registry-client/connection-status.js';
import type { RegistryClient, Proof } from '../registry-client/registry-client.js';
import type { EdgeStats } from '../telemetry/call-stats.js';
import { CallReport } from './call-report.js';
import { Heartbeat } from './heartbeat.js';
import type { BeatKind } from './heartbeat.js';
import { Identity } from './identity.js';
import { OwnState } from './own-state.js';
import { isOusted, meaningOf, refusalText, removedText } from './refusals.js';

/** What we tell the registry about ourselves. */
export interface Self {
  readonly service: string;
  readonly namespace: string;
  readonly version: string;
  readonly zone: string;
  readonly weight: number;
  readonly metadata: Metadata;
}

export interface ServiceRegistrationParts {
  readonly time: Time;
  readonly random: Random;
  readonly log: Log;
  readonly link: RegistryClient;
  readonly contact: Contact;
  readonly self: Self;
  /** Between our heartbeats until the registry has said what it wants, ms. */
  readonly intervalMs: number;
  /** `proof()` gives something else than before. */
  readonly lineChanged: () => void;
  /** What we saw of the services we call, for our heartbeats to tell. */
  readonly edges: () => readonly EdgeStats[];
}

/**
 * `joining`: registers, or waits to; `member`: registered, beats; `leaving`: drains, beats, never registers again; `ended`: said
 * goodbye, or the registry ended us.
 */
type Phase = 'new' | 'joining' | 'member' | 'leaving' | 'ended';

/** A refused registration is tried again after this, and up to a sixth more. */
const REFUSED_WAIT_MS = 30_000;
/** A registry hears of a new token within a second: whoever is faster than that need not wait so long. */
const TOKEN_WAIT_MS = 1_500;
/** A drain that was not heard is said once more after this; a goodbye is not, for a closed port says the same. */
const DRAIN_AGAIN_MS = 100;

/**
 * Our own registration, for the life of this process: registers until it is taken, answers Heartbeat-1, sends Heartbeat-2,
 * registers again when the registry no longer knows us, drains and leaves. Nothing is sent before `start`.
 */
export class ServiceRegistration implements Line {
  readonly #parts: ServiceRegistrationParts;
  readonly #identity: Identity;
  readonly #heartbeat: Heartbeat;
  #phase: Phase = 'new';
  #endpoints: readonly AnnouncedEndpoint[] = [];
  #methods: { readonly methods?: Methods } = {};
  /** What was said of us since, beside what `self` says. */
  #words: Metadata = {};
  #intervalMs: number;
  /** A new one for each registration; null while the registry does not list us or refused the line. */
  #line: Proof | null = null;
  /** The registration under way; never rejects. */
  #joining: Promise<void> | null = null;
  #ending: Promise<void> | null = null;
  #timer: Timer | null = null;
  /** Does the registry list us, as far as we know? */
  #isListed = false;
  #wasListed = false;
  /** Authentically called since we registered last? */
  #isCalled = false;
  /** Tries since the last accepted beat, for the jitter. */
  #tries = 0;
  readonly #complaints: ThrottledLog;
  readonly #own: OwnState;

  constructor(parts: ServiceRegistrationParts) {
    const { time, random, log, link, contact, self } = parts;
    this.#parts = parts;
    this.#complaints = new ThrottledLog(time);
    this.#intervalMs = parts.intervalMs;
    const called = (isUrgent: boolean): void => this.#called(isUrgent);
    this.#identity = new Identity({ time, random, service: self.service, called });
    const answered = (answer: Result<BeatAnswer, Problem>, kind: BeatKind): void => this.#answered(answer, kind);
    this.#own = new OwnState(log, this.#identity.name);
    const news = new CallReport(() => parts.edges());
    this.#heartbeat = new Heartbeat({ time, log, link, contact, identity: this.#identity, news, answered });
  }

  get id(): string {
    return this.#identity.id;
  }

  /** What the registry thinks of us, as of the last beat; null before. */
  get state(): State | null {
    return this.#own.state;
  }

  /** Between our heartbeats, ms: what the registry wants, once it has said so. */
  get intervalMs(): number {
    return this.#intervalMs;
  }

  /** Registers with these endpoints, which listen already, and keeps us registered. The first time counts. */
  start(endpoints: readonly AnnouncedEndpoint[], methods?: Methods): void {
    if (this.#phase !== 'new') return;
    this.#endpoints = endpoints;
    if (methods !== undefined) this.#methods = { methods };
    this.#phase = 'joining';
    this.#join();
  }

  /** Adds to what we say of ourselves; a registry that has listed us already is told at once, by registering again. */
  say(words: Metadata): void {
    this.#words = { ...this.#words, ...words };
    if (this.#phase !== 'member') return;
    this.#phase = 'joining';
    this.#join();
  }

  /** See `Identity.answer`: no I/O, fit for the path of a request. */
  answer(question: unknown): HeartbeatAnswer {
    return this.#identity.answer(question);
  }

  /**
   * Asks the registry to send nobody here any more, and goes on beating until `leave`. `deadlineMs`: when the registry may remove
   * us by itself. Returns how many streams watch our service, and so have to hear of it; null when the registry did not answer.
   */
  async drain(deadlineMs: number): Promise<number | null> {
    if (this.#phase === 'new' || this.#phase === 'ended') return 0;
    this.#phase = 'leaving';
    this.#timer?.cancel();
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
      this.#parts.log.warn(`The registry did not hear that ${this.#identity.name} drains: ${messageOf(error)}`);
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
    this.#heartbeat.soon();
  }

  ended(): void {
    this.#heartbeat.soon();
  }

  /** The answer to a beat says what to do; after a 404 that of the next regular one. */
  refused(problem: Problem): void {
    this.#parts.log.debug(`The registry refused the line of ${this.#identity.name}: ${problem.detail}`);
    this.#dropLine();
    if (meaningOf(problem) !== 'unknown') this.#heartbeat.soon();
  }

  gone(reason: Reason): void {
    if (this.#phase === 'ended') return;
    this.#tellRemoved(reason);
    this.#dropLine();
    this.#heartbeat.soon();
  }

  #tellRemoved(reason: Reason): void {
    this.#complaints.add('gone', () => this.#parts.log.warn(removedText(this.#identity.name, reason)));
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
    const { self, link, contact } = this.#parts;
    try {
      const answer = await link.register({
        ...self,
        metadata: { ...self.metadata, ...this.#words },
        ...this.#methods,
        ...this.#identity.proof(),
        endpoints: this.#endpoints,
      });
      contact.reached();
      if (answer.ok) this.#registered(answer.value);
      else this.#notRegistered(answer.problem);
    } catch (error) {
      contact.missed(error);
      this.#joinAfter(this.#waitMs());
    }
  }

  #registered({ heartbeat }: Registered): void {
    this.#parts.log.info(`${this.#identity.name} is registered${this.#wasListed ? ' again' : ''}.`);
    this.#isListed = true;
    this.#wasListed = true;
    this.#complaints.over();
    this.#intervalMs = heartbeat.intervalMs;
    if (this.#phase === 'ended') return;
    const firstMs = this.#intervalMs * this.#parts.random.unit();
    this.#heartbeat.start(this.#intervalMs, firstMs, heartbeat.freshEvery);
    if (this.#isCalled) this.#heartbeat.soon();
    if (this.#phase !== 'joining') return;
    this.#phase = 'member';
    this.#openLine();
  }

  #notRegistered(problem: Problem): void {
    const meaning = meaningOf(problem);
    if (meaning === 'never') this.#end(problem);
    else if (meaning === 'soon') {
      if (problem.code === 'TOO_MANY') this.#complain(problem); // it may last, and somebody has to raise the limit
      this.#joinAfter(Math.max(Math.min(problem.retryAfterMs ?? 0, REFUSED_WAIT_MS), this.#waitMs()));
    } else this.#joinLater(problem);
  }

  #joinLater(problem: Problem): void {
    const isNews = this.#complain(problem);
    this.#joinAfter(this.#refusedWaitMs(problem, isNews) * (1 + this.#parts.random.unit() / 6));
  }

  /** Each try makes a connection, which shows the certificate that is there by then: as good as a beat, and as often. */
  #refusedWaitMs({ code }: Problem, isNews: boolean): number {
    if (code === 'CERTIFICATE_UNTRUSTED') return this.#intervalMs;
    return isNews && code === 'UNAUTHORIZED' ? TOKEN_WAIT_MS : REFUSED_WAIT_MS;
  }

  /** Was it news? */
  #complain(problem: Problem): boolean {
    return this.#complaints.add(problem.code, () => this.#parts.log.error(refusalText(this.#identity.name, problem)));
  }

  #joinAfter(ms: number): void {
    if (this.#phase !== 'joining') return;
    this.#timer?.cancel();
    this.#timer = this.#parts.time.setTimer(ms, () => this.#join(), { background: true });
  }

  #waitMs(): number {
    const ms = waitMs(this.#tries, this.#intervalMs, this.#parts.random);
    this.#tries += 1;
    return ms;
  }

  // ---- heartbeats ----------------------------------------------------------------------------------------------------

  /** The first call may overtake the answer to the registration: then the beat waits for that. */
  #called(isUrgent: boolean): void {
    if (isUrgent || !this.#isCalled) this.#heartbeat.soon();
    this.#isCalled = true;
  }

  #answered(answer: Result<BeatAnswer, Problem>, kind: BeatKind): void {
    if (answer.ok) {
      this.#accepted(answer.value, kind);
      return;
    }
    const meaning = meaningOf(answer.problem);
    if (meaning === 'never') this.#end(answer.problem);
    else if (isOusted(answer.problem)) this.#ousted(answer.problem);
    else if (meaning === 'unknown' && kind === 'regular') this.#forgotten(answer.problem);
    else if (meaning === 'later') this.#complain(answer.problem);
    else this.#parts.log.debug(`The registry did not take a heartbeat: ${answer.problem.detail}`);
  }

  /** A line that was refused is asked for again, once per interval: whose beats are taken may hold one. */
  #accepted(answer: BeatAnswer, kind: BeatKind): void {
    this.#tries = 0;
    this.#own.heard(answer);
    if (kind === 'regular') this.#complaints.over();
    if (kind === 'regular' && this.#phase === 'member' && this.#line === null) this.#openLine();
  }

  /**
   * 404: register again. At once, since only regular beats come here, which are spread over the interval, so a registry that
   * lost everything gets no storm; with jitter if no beat was accepted since the last time.
   */
  #forgotten({ reason }: Problem): void {
    if (reason !== undefined) this.#tellRemoved(reason);
    this.#unlisted();
    const isFirst = this.#tries === 0;
    const ms = this.#waitMs();
    if (isFirst) this.#join();
    else this.#joinAfter(ms);
  }

  #ousted(problem: Problem): void {
    this.#unlisted();
    this.#joinLater(problem);
  }

  #unlisted(): void {
    this.#isListed = false;
    this.#own.forget();
    this.#heartbeat.stop();
    if (this.#phase === 'member') this.#phase = 'joining';
    this.#dropLine();
  }

  // ---- the end -------------------------------------------------------------------------------------------------------

  #end(problem: Problem): void {
    this.#parts.log.error(`The registry ended ${this.#identity.name} for good: ${problem.detail} ${problem.fix}`);
    this.#unlisted();
    this.#stop();
  }

  async #announceDrain(deadlineMs: number): Promise<number> {
    const answer = await this.#parts.link.drain(this.#identity.proof(), { deadlineMs });
    if (answer.ok) return answer.value.watchers;
    this.#parts.log.warn(`The registry refused the drain of ${this.#identity.name}: ${answer.problem.detail}`);
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
      this.#parts.log.debug(`The registry did not hear that ${this.#identity.name} leaves: ${messageOf(error)}`);
    }
  }

  #stop(): void {
    this.#phase = 'ended';
    this.#timer?.cancel();
    this.#heartbeat.stop();
  }

  #openLine(): void {
    this.#line = this.#identity.proof();
    this.#parts.lineChanged();
  }

  #dropLine(): void {
    if (this.#line === null) return;
    this.#line = null;
    this.#parts.lineChanged();
  }
}
