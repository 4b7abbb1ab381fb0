import { Inject, Injectable } from '@nestjs/common';
import type { OnApplicationShutdown } from '@nestjs/common';
import type { ServiceView } from '@rollcall/client';
import { isMetadata, messageOf, sleep, TOLD, VERSION } from '@rollcall/core';
import type { AnnouncedEndpoint, Metadata, Methods } from '@rollcall/core';
import { PORTS, ROLLCALL, SETTINGS } from '../inject.js';
import type { Ports, RollcallApi } from '../inject.js';
import type { EmbeddedRegistry, Settings } from '../rollcall.module-definition.js';
import { IdleTimer, InFlight } from '../servers/in-flight.js';
import type { HeartbeatReply } from '../servers/server-adapter.js';

/** How often a drain checks whether it is done. */
const LOOK_EVERY_MS = 10;

/** The lifecycle of this process in the registry: it starts, registers, drains and leaves, each once. */
@Injectable()
export class Membership implements OnApplicationShutdown {
  readonly inFlight: InFlight;
  /** True if any server of this process listens. */
  serves = false;
  readonly #closedLast: { close(): Promise<void> }[] = [];
  readonly #wanted = new Set<string>();
  readonly #watched = new Set<string>();
  readonly #watchers = new Set<(view: ServiceView) => void>();
  /** The metadata that we added to that of the application. */
  #ownMetadata: Metadata = {};
  #awake: Promise<void> | null = null;
  #isRegistered = false;
  #drained: Promise<void> | null = null;
  #closed: Promise<void> | null = null;

  constructor(
    @Inject(ROLLCALL) readonly rollcall: RollcallApi,
    @Inject(SETTINGS) readonly settings: Settings,
    @Inject(PORTS) private readonly ports: Ports,
  ) {
    this.inFlight = new InFlight(ports.time);
  }

  get id(): string {
    return this.rollcall.id;
  }

  get isDraining(): boolean {
    return this.#drained !== null;
  }

  /** Services whose copy is needed before the first call: watched from the start of the client. */
  want(service: string): void {
    this.#wanted.add(service);
    this.rollcall.dependOn(service);
    if (this.#awake !== null) this.#watch(service);
  }

  /** See `want`. */
  get wanted(): ReadonlySet<string> {
    return this.#wanted;
  }

  /**
   * Calls the listener once for each of these services, when it is watched, or at once if it already is. Returns a
   * function that stops it.
   */
  onWatched(listener: (view: ServiceView) => void): () => void {
    this.#watchers.add(listener);
    for (const service of this.#watched) listener(this.rollcall.service(service));
    return () => void this.#watchers.delete(listener);
  }

  #watch(service: string): void {
    const view = this.rollcall.service(service);
    if (this.#watched.has(service)) return;
    this.#watched.add(service);
    for (const listener of this.#watchers) listener(view);
  }

  /** Opens the first socket, when the application listens or makes its first call. May be called before every call. */
  wake(): Promise<void> {
    this.#awake ??= this.#start();
    return this.#awake;
  }

  async #start(): Promise<void> {
    const { embedded } = this.settings;
    if (embedded !== null) await this.#startRegistry(embedded);
    if (this.#closed !== null) return;
    this.rollcall.start();
    for (const service of this.#wanted) this.#watch(service);
  }

  /** Without the embedded registry the feed keeps trying: another process may serve one. */
  async #startRegistry(registry: EmbeddedRegistry): Promise<void> {
    try {
      await registry.start({ production: this.settings.isProduction, log: this.ports.log });
    } catch (error) {
      this.ports.log.error(`The embedded registry did not start: ${messageOf(error)}`);
    }
  }

  /** Closes it after the deregistration, during which the registry still calls it. */
  closeLast(port: { close(): Promise<void> }): void {
    if (this.#closed === null) this.#closedLast.push(port);
    else void port.close();
  }

  /** The client does the rest: it retries until a registry accepts it, and registers again if needed. */
  async register(endpoints: readonly AnnouncedEndpoint[], methods?: Methods): Promise<void> {
    await this.wake();
    if (this.isDraining) return;
    this.#isRegistered = true;
    this.setMetadata({ [TOLD.version]: VERSION });
    this.setMetadata(this.#metricsAt(endpoints));
    this.rollcall.register(endpoints, methods);
  }

  /**
   * Announces the HTTP endpoint to Prometheus if the meter is exposed there, unless the application sets the key, or
   * `none`.
   */
  #metricsAt(endpoints: readonly AnnouncedEndpoint[]): Metadata {
    const { meter, client } = this.settings;
    const http = endpoints.find(({ protocol }) => protocol === 'http');
    const own: Metadata = client.metadata ?? {};
    const isOpen = own[TOLD.metrics] === undefined;
    return meter?.exposition === 'prometheus' && http !== undefined && isOpen ? { [TOLD.metrics]: `${http.port}` } : {};
  }

  /** For display, and only if it fits: the metadata of the application takes precedence. */
  setMetadata(metadata: Metadata): void {
    const ownMetadata = { ...this.#ownMetadata, ...metadata };
    if (!isMetadata({ ...this.settings.client.metadata, ...ownMetadata })) return;
    this.#ownMetadata = ownMetadata;
    this.rollcall.say(metadata);
  }

  /**
   * The answer to a Heartbeat-1, or to an identity check, which has no nonce. After a Heartbeat-1 this side closes
   * first, so that the registry collects no TIME_WAIT, unless the next one uses the same connection; after an identity
   * check the caller uses the connection.
   */
  answer(received: unknown): HeartbeatReply {
    const answer = this.rollcall.answer(received);
    const keeps = answer.nonce !== null && hasKeep(received) && !this.isDraining;
    return { answer, keeps, closes: answer.nonce !== null && !keeps };
  }

  /**
   * Announces LEAVING, and resolves when no caller needs this process any more: callers had the time to move away
   * (none, if no stream watches this service), no request is in flight, and none arrived for a short while; or when the
   * deadline has passed. Servers continue to serve. A broker delivers until its server closes, so only messages from
   * before that time are awaited.
   */
  drain(): Promise<void> {
    this.#drained ??= this.#drain();
    return this.#drained;
  }

  async #drain(): Promise<void> {
    const { time, log } = this.ports;
    const { deadlineMs, quietMs } = this.settings.drain;
    const beganAt = time.now();
    const leastMs = this.serves ? this.settings.drain.leastMs : 0;
    const [count, names] = [this.inFlight.count, this.inFlight.describe()];
    const watchers = await this.#announce(deadlineMs);
    const restMs = watchers === 0 ? 0 : quietMs;
    const earliest = Math.max(time.now() + restMs, beganAt + leastMs);
    const awaiting = { since: beganAt - deadlineMs, pulledUntil: earliest };
    const idleTimer = new IdleTimer(time.now(), LOOK_EVERY_MS);
    for (;;) {
      const idleMs = idleTimer.observe(time.now(), this.inFlight.changedAt);
      if (idleMs >= restMs && time.now() >= earliest && this.inFlight.awaited(awaiting) === 0) break;
      if (time.now() - beganAt >= deadlineMs) {
        const cut = this.inFlight.count === 0 ? '0' : `${this.inFlight.count}: ${this.inFlight.describe()}`;
        log.warn(`Not drained within ${deadlineMs} ms. Requests in flight that are cut: ${cut}.`);
        return;
      }
      await sleep(time, LOOK_EVERY_MS);
    }
    if (!this.serves && !this.#isRegistered) return;
    const reasons = [notifiedText(watchers), inFlightText(count, names), ...quietTexts(restMs), ...leastTexts(leastMs)];
    log.info(`Drained in ${Math.round(time.now() - beganAt)} ms: ${reasons.join('; ')}.`);
  }

  /** How many streams watch this service; null if no registry answered. */
  async #announce(deadlineMs: number): Promise<number | null> {
    if (!this.#isRegistered) return 0;
    const inTime = new AbortController();
    const late = sleep(this.ports.time, deadlineMs, { signal: inTime.signal }).then(() => null);
    return Promise.race([this.rollcall.drain({ deadlineMs }), late]).finally(() => inTime.abort());
  }

  /** Runs last of all: until then the application can call others. */
  async onApplicationShutdown(): Promise<void> {
    this.#closed ??= this.#close();
    await this.#closed;
  }

  async #close(): Promise<void> {
    await this.drain();
    await this.rollcall.close();
    await Promise.all(this.#closedLast.map((port) => port.close()));
    await this.settings.embedded?.close();
  }
}

function notifiedText(watchers: number | null): string {
  if (watchers === null) return 'the registry did not report its watchers';
  return `${watchers === 0 ? 'no' : watchers} ${watchers === 1 ? 'watcher' : 'watchers'} had to be notified`;
}

const inFlightText = (count: number, names: string): string =>
  count === 0 ? 'nothing was in flight' : `${count} in flight (${names})`;
const quietTexts = (ms: number): string[] => (ms === 0 ? [] : [`no request came for ${ms} ms`]);
const leastTexts = (ms: number): string[] => (ms === 0 ? [] : [`at least ${ms} ms, as the option leastMs requires`]);

const hasKeep = (call: unknown): boolean =>
  typeof call === 'object' && call !== null && 'keep' in call && call.keep === true;
