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
import { ThrottledLog } from '../registry-client/throttled-log.js';
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

/** The data that this process registers about itself. */
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
  /** The interval of heartbeats in ms, until the registry has set its own. */
  readonly intervalMs: number;
  /** Called when `proof()` returns another value than before. */
  readonly lineChanged: () => void;
  /** The statistics of the services we call, for our heartbeats. */
  readonly edges: () => readonly EdgeStats[];
}

/**
 * `joining`: registers, or waits to; `member`: registered, sends heartbeats; `leaving`: drains, sends heartbeats, never
 * registers again; `ended`: deregistered, or ended by the registry.
 */
type Phase = 'new' | 'joining' | 'member' | 'leaving' | 'ended';

/** A refused registration is retried after this time, or up to a sixth later. */
const REFUSED_WAIT_MS = 30_000;
/** A registry learns of a new token within a second, so the first refusal of a token is retried this soon. */
const TOKEN_WAIT_MS = 1_500;
/** A drain without an answer is sent once more after this time; a goodbye is not repeated, since the closed port has the same effect. */
const DRAIN_RETRY_MS = 100;

/**
 * The registration of this process, for its whole life: it registers until it is accepted, answers Heartbeat-1, sends Heartbeat-2,
 * registers again if the registry forgot it, drains and deregisters. It sends nothing before `start`.
 */
export class ServiceRegistration implements Line {
  readonly #parts: ServiceRegistrationParts;
  readonly #identity: Identity;
  readonly #heartbeat: Heartbeat;
  #phase: Phase = 'new';
  #endpoints: readonly AnnouncedEndpoint[] = [];
  #methods: { readonly methods?: Methods } = {};
  /** Metadata that was set later, in addition to that of `self`. */
  #metadata: Metadata = {};
  #intervalMs: number;
  /** A new object for each registration; null while the registry does not list us or has refused the line. */
  #line: Proof | null = null;
  /** The registration in progress; never rejects. */
  #joining: Promise<void> | null = null;
  #ending: Promise<void> | null = null;
  #timer: Timer | null = null;
  /** True if the registry lists this instance, as far as we know. */
  #isListed = false;
  #wasListed = false;
  /** True if an authentic Heartbeat-1 arrived since the last registration. */
  #isCalled = false;
  /** Attempts to register since the last accepted beat, for the jitter. */
  #tries = 0;
  readonly #problems: ThrottledLog;
  readonly #own: OwnState;

  constructor(parts: ServiceRegistrationParts) {
    const { time, random, log, link, contact, self } = parts;
    this.#parts = parts;
    this.#problems = new ThrottledLog(time);
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

  /** Our state in the registry, as of the last beat; null before the first. */
  get state(): State | null {
    return this.#own.state;
  }

  /** The interval of our heartbeats in ms: that of the registry, once it has set it. */
  get intervalMs(): number {
    return this.#intervalMs;
  }

  /** Registers with these endpoints, which must listen already, and stays registered. A further call has no effect. */
  start(endpoints: readonly AnnouncedEndpoint[], methods?: Methods): void {
    if (this.#phase !== 'new') return;
    this.#endpoints = endpoints;
    if (methods !== undefined) this.#methods = { methods };
    this.#phase = 'joining';
    this.#join();
  }

  /** Adds to our metadata; if the registry lists us already, registers again at once to publish it. */
  setMetadata(metadata: Metadata): void {
    this.#metadata = { ...this.#metadata, ...metadata };
    if (this.#phase !== 'member') return;
    this.#phase = 'joining';
    this.#join();
  }

  /** See `Identity.answer`: no I/O, so it suits the path of a request. */
  answer(question: unknown): HeartbeatAnswer {
    return this.#identity.answer(question);
  }

  /**
   * Asks the registry to direct no more callers here, and continues to send heartbeats until `leave`. After `deadlineMs` the registry may
   * remove this instance by itself. Returns how many streams watch our service and still have to receive the change; null if the registry
   * did not answer.
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
      await sleep(this.#parts.time, DRAIN_RETRY_MS);
    }
    try {
      return await this.#announceDrain(deadlineMs);
    } catch (error) {
      this.#parts.log.warn(`The drain of ${this.#identity.name} did not reach the registry: ${messageOf(error)}`);
      return null;
    }
  }

  /** Deregisters and stops permanently. May be called twice. */
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

  /** The answer to an extra beat decides what to do; after a 404, that to the next regular beat. */
  refused(problem: Problem): void {
    this.#parts.log.debug(`The registry refused the line of ${this.#identity.name}: ${problem.detail}`);
    this.#dropLine();
    if (meaningOf(problem) !== 'unknown') this.#heartbeat.soon();
  }

  gone(reason: Reason): void {
    if (this.#phase === 'ended') return;
    this.#logRemoval(reason);
    this.#dropLine();
    this.#heartbeat.soon();
  }

  #logRemoval(reason: Reason): void {
    this.#problems.add('gone', () => this.#parts.log.warn(removedText(this.#identity.name, reason)));
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
        metadata: { ...self.metadata, ...this.#metadata },
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
    this.#problems.over();
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
      if (problem.code === 'TOO_MANY') this.#logRefusal(problem); // the refusal may last until an operator raises the limit
      this.#joinAfter(Math.max(Math.min(problem.retryAfterMs ?? 0, REFUSED_WAIT_MS), this.#waitMs()));
    } else this.#joinLater(problem);
  }

  #joinLater(problem: Problem): void {
    const isNew = this.#logRefusal(problem);
    this.#joinAfter(this.#refusedWaitMs(problem, isNew) * (1 + this.#parts.random.unit() / 6));
  }

  /** An untrusted certificate: retried once an interval, since each connection presents the current certificate. */
  #refusedWaitMs({ code }: Problem, isNew: boolean): number {
    if (code === 'CERTIFICATE_UNTRUSTED') return this.#intervalMs;
    return isNew && code === 'UNAUTHORIZED' ? TOKEN_WAIT_MS : REFUSED_WAIT_MS;
  }

  /** Logs a refusal, throttled. Returns true if its code differs from that of the current one. */
  #logRefusal(problem: Problem): boolean {
    return this.#problems.add(problem.code, () => this.#parts.log.error(refusalText(this.#identity.name, problem)));
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

  /** The first Heartbeat-1 may overtake the answer to the registration; the beat then waits for the answer. */
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
    else if (isOusted(answer.problem)) this.#superseded(answer.problem);
    else if (meaning === 'unknown' && kind === 'regular') this.#forgotten(answer.problem);
    else if (meaning === 'later') this.#logRefusal(answer.problem);
    else this.#parts.log.debug(`The registry refused a heartbeat: ${answer.problem.detail}`);
  }

  /** Requests a refused line again, at most once per interval, after a heartbeat was accepted. */
  #accepted(answer: BeatAnswer, kind: BeatKind): void {
    this.#tries = 0;
    this.#own.update(answer);
    if (kind === 'regular') this.#problems.over();
    if (kind === 'regular' && this.#phase === 'member' && this.#line === null) this.#openLine();
  }

  /**
   * Registers again after a 404. It does so at once: only regular beats, which are spread over the interval, lead to this call, so that a
   * registry without data is not flooded. It adds jitter if no beat was accepted since the last time.
   */
  #forgotten({ reason }: Problem): void {
    if (reason !== undefined) this.#logRemoval(reason);
    this.#unlisted();
    const isFirst = this.#tries === 0;
    const ms = this.#waitMs();
    if (isFirst) this.#join();
    else this.#joinAfter(ms);
  }

  #superseded(problem: Problem): void {
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
    this.#parts.log.error(`The registry ended the id of ${this.#identity.name}: ${problem.detail} ${problem.fix}`);
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
    if (this.#isListed) await this.#deregister();
    this.#isListed = false;
    this.#dropLine();
  }

  async #deregister(): Promise<void> {
    try {
      const answer = await this.#parts.link.leave(this.#identity.proof());
      if (!answer.ok) this.#parts.log.debug(`The registry refused the goodbye: ${answer.problem.detail}`);
    } catch (error) {
      this.#parts.log.debug(`The goodbye of ${this.#identity.name} did not reach the registry: ${messageOf(error)}`);
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
