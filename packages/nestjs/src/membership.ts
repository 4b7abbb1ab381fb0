import { Inject, Injectable } from '@nestjs/common';
import type { OnApplicationShutdown } from '@nestjs/common';
import { messageOf, sleep } from '@rollcall/core';
import type { AnnouncedEndpoint, HeartbeatCall } from '@rollcall/core';
import type { HeartbeatReply } from './door.js';
import { InFlight } from './in-flight.js';
import { PORTS, ROLLCALL, SETTINGS } from './inject.js';
import type { Ports, RollcallFace } from './inject.js';
import type { Settings } from './rollcall.module-definition.js';

/** How often a drain looks whether it is done. */
const LOOK_EVERY_MS = 10;

/** This process as a member of the system: it wakes up, registers, drains and leaves, each once. */
@Injectable()
export class Membership implements OnApplicationShutdown {
  readonly inFlight: InFlight;
  readonly #wanted = new Set<string>();
  #isAwake = false;
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
    if (this.#isAwake) this.rollcall.instances(service);
  }

  /** Opens the first socket: when the application listens, or makes its first call. May be called before every call. */
  wake(): void {
    if (this.#isAwake) return;
    this.#isAwake = true;
    void this.#start();
  }

  async #start(): Promise<void> {
    const { registry, isProduction } = this.settings;
    try {
      await registry?.start({ production: isProduction });
    } catch (error) {
      this.ports.log.error(`The embedded registry did not start: ${messageOf(error)}`);
    }
    if (this.#closed !== null) return;
    this.rollcall.start();
    for (const service of this.#wanted) this.rollcall.instances(service);
  }

  /** The rest is the client's: it tries until a registry takes it, and registers again when that is needed. */
  register(endpoints: readonly AnnouncedEndpoint[]): void {
    if (this.#isRegistered || this.isDraining) return;
    this.#isRegistered = true;
    this.wake();
    this.rollcall.register(endpoints).catch((error: unknown) => this.ports.log.error(messageOf(error)));
  }

  answer(received: unknown): HeartbeatReply | null {
    if (typeof received !== 'object' || received === null) return null;
    if (!('nonce' in received)) return { answer: { instance: this.id, nonce: null }, closes: false };
    return isCall(received) ? { answer: this.rollcall.answer(received), closes: true } : null;
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
        log.warn(`Not drained within ${deadlineMs} ms: ${this.inFlight.count} requests in flight are cut.`);
        return;
      }
      await sleep(time, LOOK_EVERY_MS);
    }
    if (this.#isRegistered) log.info(`Drained in ${Math.round(time.now() - beganAt)} ms.`);
  }

  /** How many watch this service; null when no registry said so. */
  async #announce(deadlineMs: number): Promise<number | null> {
    if (!this.#isRegistered) return 0;
    const late = sleep(this.ports.time, deadlineMs, { background: true }).then(() => null);
    const told = this.rollcall.drain({ deadlineMs }).then(
      (answer) => answer.watchers,
      (error: unknown) => {
        this.ports.log.warn(`The registry could not be told that this instance is leaving: ${messageOf(error)}`);
        return null;
      },
    );
    return Promise.race([told, late]);
  }

  /** Runs last of all: until then the application can call others. */
  async onApplicationShutdown(): Promise<void> {
    this.#closed ??= this.#close();
    await this.#closed;
  }

  async #close(): Promise<void> {
    await this.drain();
    await this.rollcall.close();
    await this.settings.registry?.close();
  }
}

function isCall(received: object): received is HeartbeatCall {
  const call = received as Partial<Record<keyof HeartbeatCall, unknown>>;
  const { replica, instance, nonce, purpose, mac } = call;
  return [replica, instance, nonce, purpose, mac].every((word) => typeof word === 'string');
}
