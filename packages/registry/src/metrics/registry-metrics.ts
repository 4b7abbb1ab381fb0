import { noMeter, systemTime } from '@rollcall/core';
import type { Counter, Gauge, Meter, ProblemCode, Time, Timer } from '@rollcall/core';
import type { Server } from 'node:http';
import { bothMeters, Exposition } from './exposition.js';
import type { ExpositionFormat } from './exposition.js';
import { RegistryGauges } from './gauges.js';
import type { Counted } from './gauges.js';
import { ProcessMetrics } from './process-metrics.js';

export interface RegistryMetricsPorts {
  /** Where everything but `process_*` is counted, too. Default: nowhere. */
  readonly meter?: Meter;
  readonly time?: Time;
}

/** What is looked at. */
export interface Scene {
  readonly registry: Counted;
  /** Null: it does not listen. */
  readonly server: Pick<Server, 'getConnections'> | null;
  /** Null, or left out: it speaks plain HTTP. */
  readonly tls?: { describe(): { readonly expiresAt: number } } | null;
}

/** A meter of somebody else is told so often what `/metrics` looks up when it is asked. */
const FOLLOW_MS = 10_000;
/** The same while the registry is not ready. */
const SOON_MS = 1_000;

/**
 * What `/metrics` shows. Whoever builds the engine itself hands it `meter`, so that what the engine counts is shown, too. What the rim
 * counts are answers: refusals, wherever they come from, and registrations.
 */
export class RegistryMetrics {
  readonly meter: Meter;
  readonly #exposition = new Exposition();
  readonly #time: Time;
  readonly #gauges: RegistryGauges;
  readonly #process: ProcessMetrics;
  readonly #refusals: Counter<['code']>;
  readonly #registrations: Counter<['outcome']>;
  readonly #feedBytes: Counter;
  readonly #feedFrames: Counter;
  readonly #expiry: Gauge;
  readonly #isFollowed: boolean;
  #timer: Timer | null = null;
  #isClosed = false;

  constructor({ meter: other = noMeter, time = systemTime }: RegistryMetricsPorts = {}) {
    const own = this.#exposition.meter;
    this.#isFollowed = other !== noMeter;
    const meter = this.#isFollowed ? bothMeters(own, other) : own;
    this.meter = meter;
    this.#time = time;
    this.#gauges = new RegistryGauges(meter);
    this.#process = new ProcessMetrics({ time, own, meter });
    this.#refusals = meter.counter('rollcall_registry_refusals_total', 'Requests that were refused, by code.', [
      'code',
    ]);
    this.#registrations = meter.counter(
      'rollcall_registry_registrations_total',
      'Registrations by outcome: accepted, or the code of the refusal in lower case.',
      ['outcome'],
    );
    this.#feedBytes = meter.counter('rollcall_registry_feed_bytes_total', 'Bytes written to watchers.');
    this.#expiry = meter.gauge(
      'rollcall_registry_certificate_expiry_timestamp_seconds',
      'When the certificate that it serves with expires, seconds since 1970; nothing without TLS.',
    );
    this.#expiry.forget();
    this.#feedFrames = meter.counter('rollcall_registry_feed_frames_total', 'Frames written to watchers.');
  }

  refused(code: ProblemCode): void {
    this.#refusals.add(1, code);
  }

  /** A registration was answered; `code` null: accepted. */
  registered(code: ProblemCode | null): void {
    this.#registrations.add(1, code === null ? 'accepted' : code.toLowerCase());
  }

  /** So much of the feed was written to one watcher. */
  fed(frames: number, bytes: number): void {
    this.#feedFrames.add(frames);
    this.#feedBytes.add(bytes);
  }

  /** Looks up what is not counted as it happens. */
  async look({ registry, server, tls = null }: Scene): Promise<void> {
    await this.#process.look(server);
    this.#gauges.take(registry);
    if (tls !== null) this.#expiry.set(tls.describe().expiresAt / 1_000);
  }

  text(format: ExpositionFormat): string {
    return this.#exposition.text(format);
  }

  /** From now on the other meter, where there is one, is told what is looked up, every 10 s until `close`. */
  follow(scene: Scene): void {
    if (this.#isFollowed) void this.#lookAgain(scene);
  }

  /** May be called twice. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#process.close();
  }

  async #lookAgain(scene: Scene): Promise<void> {
    if (this.#isClosed) return;
    await this.look(scene);
    if (this.#isClosed) return;
    const ms = scene.registry.ready ? FOLLOW_MS : SOON_MS;
    this.#timer = this.#time.setTimer(ms, () => void this.#lookAgain(scene), { background: true });
  }
}
