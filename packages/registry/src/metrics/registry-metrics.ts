import { noMeter, systemTime } from '@rollcall/core';
import type { Counter, Gauge, Meter, ProblemCode, Time, Timer } from '@rollcall/core';
import type { Server } from 'node:http';
import { bothMeters, Exposition } from './exposition.js';
import type { ExpositionFormat } from './exposition.js';
import { RegistryGauges } from './gauges.js';
import type { Counted } from './gauges.js';
import { ProcessMetrics } from './process-metrics.js';

export interface RegistryMetricsPorts {
  /** A meter that also counts everything except `process_*`. Default: none. */
  readonly meter?: Meter;
  readonly time?: Time;
}

/** The sources of the metrics. */
export interface Scene {
  readonly registry: Counted;
  /** Null: it does not listen. */
  readonly server: Pick<Server, 'getConnections'> | null;
  /** Null or omitted: plain HTTP. */
  readonly tls?: { describe(): { readonly expiresAt: number } } | null;
}

/** Interval at which another meter gets the values that `/metrics` reads on demand, ms. */
const REFRESH_MS = 10_000;
/** The same while the registry is not ready. */
const REFRESH_NOT_READY_MS = 1_000;

/**
 * The metrics of the registry, as `/metrics` shows them. If you build the engine yourself, pass it `meter`, so that its
 * counts are included. The HTTP layer counts answers: refusals, wherever they come from, and registrations.
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
  readonly #hasOther: boolean;
  #timer: Timer | null = null;
  #isClosed = false;

  constructor({ meter: other = noMeter, time = systemTime }: RegistryMetricsPorts = {}) {
    const own = this.#exposition.meter;
    this.#hasOther = other !== noMeter;
    const meter = this.#hasOther ? bothMeters(own, other) : own;
    this.meter = meter;
    this.#time = time;
    this.#gauges = new RegistryGauges(meter);
    this.#process = new ProcessMetrics({ time, own, meter });
    this.#refusals = meter.counter('rollcall_registry_refusals_total', 'Refused requests, by code.', ['code']);
    this.#registrations = meter.counter(
      'rollcall_registry_registrations_total',
      'Registrations by outcome: accepted, or the code of the refusal in lower case.',
      ['outcome'],
    );
    this.#feedBytes = meter.counter('rollcall_registry_feed_bytes_total', 'Bytes written to watchers.');
    this.#expiry = meter.gauge(
      'rollcall_registry_certificate_expiry_timestamp_seconds',
      'Expiry of the certificate of the registry, seconds since 1970; no value without TLS.',
    );
    this.#expiry.forget();
    this.#feedFrames = meter.counter('rollcall_registry_feed_frames_total', 'Frames written to watchers.');
  }

  refused(code: ProblemCode): void {
    this.#refusals.add(1, code);
  }

  /** Counts an answered registration; `code` null: accepted. */
  registered(code: ProblemCode | null): void {
    this.#registrations.add(1, code === null ? 'accepted' : code.toLowerCase());
  }

  /** Counts frames and bytes written to a watcher. */
  fed(frames: number, bytes: number): void {
    this.#feedFrames.add(frames);
    this.#feedBytes.add(bytes);
  }

  /** Reads the values that are not counted as they change. */
  async refresh({ registry, server, tls = null }: Scene): Promise<void> {
    await this.#process.update(server);
    this.#gauges.update(registry);
    if (tls !== null) this.#expiry.set(tls.describe().expiresAt / 1_000);
  }

  text(format: ExpositionFormat): string {
    return this.#exposition.text(format);
  }

  /** Updates the other meter, if there is one, every 10 s until `close`. */
  follow(source: Scene): void {
    if (this.#hasOther) void this.#refresh(source);
  }

  /** Stops. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#process.close();
  }

  async #refresh(source: Scene): Promise<void> {
    if (this.#isClosed) return;
    await this.refresh(source);
    if (this.#isClosed) return;
    const ms = source.registry.ready ? REFRESH_MS : REFRESH_NOT_READY_MS;
    this.#timer = this.#time.setTimer(ms, () => void this.#refresh(source), { background: true });
  }
}
