import { VERSION } from '@rollcall/core';
import type { Counter, Gauge, Meter, Time } from '@rollcall/core';
import { readdir, stat } from 'node:fs/promises';
import type { Server } from 'node:http';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { IntervalHistogram } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import { readHostFacts } from './host-facts.js';
import type { HostFacts } from './host-facts.js';

/** Sampling interval of the event loop, ms; the values of Node include it. */
const RESOLUTION_MS = 20;
/** The lag covers the last one or two windows of this many ms, regardless of how many scrapers there are. */
const WINDOW_MS = 10_000;
const FDS = '/proc/self/fd';

interface Lag {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Metrics of this process: `process_*` by the conventions of Prometheus, and those specific to a registry. */
export class ProcessMetrics {
  readonly #time: Time;
  readonly #connections: Gauge;
  readonly #lag: Gauge<['at']>;
  readonly #cpu: Counter;
  readonly #resident: Gauge;
  readonly #heap: Gauge;
  readonly #started: Gauge;
  readonly #fds: Gauge;
  readonly #maxFds: Gauge;
  #facts: Promise<HostFacts> | null = null;
  #cpuSeconds = 0;
  #loop: IntervalHistogram | null = null;
  #previous: Lag = { p50: 0, p99: 0, max: 0 };
  #windowAt = 0;

  /** `own`: the meter for `process_*`, whose names another meter may already use. */
  constructor({ time, own, meter }: { readonly time: Time; readonly own: Meter; readonly meter: Meter }) {
    this.#time = time;
    const build = meter.gauge('rollcall_registry_build_info', 'Always 1; the labels are the versions that run.', [
      'version',
      'node',
    ]);
    build.set(1, VERSION, process.versions.node);
    this.#connections = meter.gauge('rollcall_registry_connections', 'Open connections at the port of the registry.');
    this.#lag = meter.gauge(
      'rollcall_registry_event_loop_lag_seconds',
      'Event loop lag within the last 10 to 20 s, or since the last scrape if that is longer ago: p50, p99, max.',
      ['at'],
    );
    this.#cpu = own.counter('process_cpu_seconds_total', 'CPU time of this process, user and system.');
    this.#resident = own.gauge('process_resident_memory_bytes', 'Resident memory of this process.');
    this.#heap = own.gauge('process_heap_bytes', 'JavaScript heap in use.');
    this.#started = own.gauge('process_start_time_seconds', 'Start time of this process, seconds since 1970.');
    this.#fds = own.gauge('process_open_fds', 'Open files and sockets.');
    this.#maxFds = own.gauge('process_max_fds', 'Maximum number of open files and sockets.');
    for (const gauge of [this.#fds, this.#maxFds, this.#connections]) gauge.forget();
  }

  /** Reads all values; `server` null: it does not listen. Never rejects. */
  async update(server: Pick<Server, 'getConnections'> | null): Promise<void> {
    this.#updateLag();
    const { user, system } = process.cpuUsage();
    const seconds = (user + system) / 1_000_000;
    this.#cpu.add(seconds - this.#cpuSeconds);
    this.#cpuSeconds = seconds;
    setOrForget(this.#resident, residentBytes());
    this.#heap.set(getHeapStatistics().used_heap_size);
    this.#started.set(this.#time.wall() / 1_000 - process.uptime());
    const [connections, fds, { openFiles }] = await Promise.all([
      connectionsOf(server),
      openFds(),
      (this.#facts ??= readHostFacts()),
    ]);
    setOrForget(this.#connections, connections);
    setOrForget(this.#fds, fds);
    setOrForget(this.#maxFds, openFiles);
    if (openFiles === null) this.#facts = null; // it may be readable next time
  }

  /** Stops observing the event loop. Idempotent. */
  close(): void {
    this.#loop?.disable();
    this.#loop = null;
  }

  /** Observes the event loop from the first scrape on: without one it costs nothing. */
  #updateLag(): void {
    const now = this.#time.now();
    if (this.#loop === null) {
      this.#loop = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
      this.#loop.enable();
      this.#windowAt = now;
    }
    const lag = lagOf(this.#loop);
    for (const at of ['p50', 'p99', 'max'] as const) this.#lag.set(Math.max(lag[at], this.#previous[at]), at);
    if (now - this.#windowAt < WINDOW_MS) return;
    this.#previous = lag;
    this.#windowAt = now;
    this.#loop.reset();
  }
}

/**
 * An unknown value (outside Linux, or while no file can be opened) is neither 0 nor the previous value: the series is
 * removed.
 */
function setOrForget(gauge: Gauge, value: number | null): void {
  if (value === null) gauge.forget();
  else gauge.set(value);
}

/** Node reads a file for it on Linux; null if that fails. */
function residentBytes(): number | null {
  try {
    return process.memoryUsage.rss();
  } catch {
    return null;
  }
}

function lagOf(loop: IntervalHistogram): Lag {
  const seconds = (ns: number): number => (loop.count === 0 ? 0 : Math.max(0, ns / 1e9 - RESOLUTION_MS / 1_000));
  return { p50: seconds(loop.percentile(50)), p99: seconds(loop.percentile(99)), max: seconds(loop.max) };
}

function connectionsOf(server: Pick<Server, 'getConnections'> | null): Promise<number | null> {
  if (server === null) return Promise.resolve(null);
  return new Promise((resolve) => {
    server.getConnections((error, count) => resolve(error === null ? count : null));
  });
}

/** Since Linux 6.2 the size of the folder is the number of open files. */
async function openFds(): Promise<number | null> {
  try {
    const { size } = await stat(FDS);
    return size > 0 ? size : (await readdir(FDS)).length;
  } catch {
    return null;
  }
}
