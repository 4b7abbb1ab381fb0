import { Inject, Injectable } from '@nestjs/common';
import type { OnApplicationShutdown } from '@nestjs/common';
import { messageOf, sleep } from '@rollcall/core';
import type { AnnouncedEndpoint, Methods } from '@rollcall/core';
import type { HeartbeatReply } from './door.js';
import { InFlight } from './in-flight.js';
import { PORTS, ROLLCALL, SETTINGS } from './inject.js';
import type { Ports, RollcallFace } from './inject.js';
import type { EmbeddedRegistry, Settings } from './rollcall.module-definition.js';

/** How often a drain looks whether it is done. */
const LOOK_EVERY_MS = 10;

/** This process as a member of the system: it wakes up, registers, drains and leaves, each once. */
@Injectable()
export class Membership implements OnApplicationShutdown {
  readonly inFlight: InFlight;
  readonly #wanted = new Set<string>();
  #awake: Promise<void> | null = null;
  #isRegistered = false;
  #drained: Promise<void> | null = null;
  #closed: Promise<void> | null = null;

  constructor(
    @Inject(ROLLCALL) private readonly rollcall: RollcallFace,
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

  /** Services whose copy should be there before the first call: watched from the moment this process wakes up. */
  want(service: string): void {
    this.#wanted.add(service);
    if (this.#awake !== null) this.rollcall.service(service);
  }

  /** Opens the first socket: when the application listens, or makes its first call. May be called before every call. */
  wake(): Promise<void> {
    this.#awake ??= this.#start();
    return this.#awake;
  }

  async #start(): Promise<void> {
    const { embedded } = this.settings;
    if (embedded !== null) await this.#startRegistry(embedded);
    if (this.#closed !== null) return;
    this.rollcall.start();
    for (const service of this.#wanted) this.rollcall.service(service);
  }

  /** Without it the feed keeps trying: another process may serve one. */
  async #startRegistry(registry: EmbeddedRegistry): Promise<void> {
    try {
      await registry.start({ production: this.settings.isProduction });
    } catch (error) {
      this.ports.log.error(`The embedded registry did not start: ${messageOf(error)}`);
    }
  }

  /** The rest is the client's: it tries until a registry takes it, and registers again when that is needed. */
  async register(endpoints: readonly AnnouncedEndpoint[], methods?: Methods): Promise<void> {
    await this.wake();
    if (this.isDraining) return;
    this.#isRegistered = true;
    this.rollcall.register(endpoints, methods);
  }

  /**
   * The answer to a Heartbeat-1, or to a question for our identity, which has no nonce. The called side closes first after a
   * Heartbeat-1, so that the registry collects no TIME_WAIT, unless the next one comes over the same connection; who only asked
   * who we are is about to use it.
   */
  answer(received: unknown): HeartbeatReply {
    const answer = this.rollcall.answer(received);
    const keeps = answer.nonce !== null && saysKeep(received) && !this.isDraining;
    return { answer, keeps, closes: answer.nonce !== null && !keeps };
  }

  /**
   * Says LEAVING, and resolves when nobody waits for this process any more: callers had the time to move away (none, if nobody
   * watches this service), no request is in flight, and none came for a short while; or when the deadline has passed. Servers
   * go on serving meanwhile.
   */
  drain(): Promise<void> {
    this.#drained ??= this.#drain();
    return this.#drained;
  }

  async #drain(): Promise<void> {
    const { time, log } = this.ports;
    const { deadlineMs, quietMs } = this.settings.drain;
    const beganAt = time.now();
    const watchers = await this.#announce(deadlineMs);
    const restMs = watchers === 0 ? 0 : quietMs;
    const movedAt = time.now();
    const awaited = (): number => this.inFlight.awaited(beganAt - deadlineMs);
    const isQuiet = (): boolean => time.now() - Math.max(movedAt, this.inFlight.changedAt) >= restMs;
    while (awaited() > 0 || !isQuiet()) {
      if (time.now() - beganAt >= deadlineMs) {
        log.warn(`Not drained within ${deadlineMs} ms. Requests in flight that are cut: ${this.inFlight.count}.`);
        return;
      }
      await sleep(time, LOOK_EVERY_MS);
    }
    if (this.#isRegistered) log.info(`Drained in ${Math.round(time.now() - beganAt)} ms.`);
  }

  /** How many watch this service; null when no registry said so. */
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
    await this.settings.embedded?.close();
  }
}

const saysKeep = (call: unknown): boolean =>
  typeof call === 'object' && call !== null && 'keep' in call && call.keep === true;
