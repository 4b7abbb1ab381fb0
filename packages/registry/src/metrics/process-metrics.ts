import { VERSION } from '@rollcall/core';
import type { Counter, Gauge, Meter, Time } from '@rollcall/core';
import { readdir, stat } from 'node:fs/promises';
import type { Server } from 'node:http';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { IntervalHistogram } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import { readHostFacts } from './host-facts.js';
import type { HostFacts } from './host-facts.js';

/** The event loop is looked at so often; what Node tells of it contains this time. */
const RESOLUTION_MS = 20;
/** What is said of it is of the last one or two windows, however many ask. */
const WINDOW_MS = 10_000;
const FDS = '/proc/self/fd';

interface Lag {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** This process, as everybody's dashboards know it: `process_*` by the conventions of Prometheus, and what is particular to a registry. */
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
  #former: Lag = { p50: 0, p99: 0, max: 0 };
  #windowAt = 0;

  /** `own`: where `process_*` go, whose names another meter may have given away. */
  constructor({ time, own, meter }: { readonly time: Time; readonly own: Meter; readonly meter: Meter }) {
    this.#time = time;
    const build = meter.gauge('rollcall_registry_build_info', 'Always 1; the labels say what runs.', [
      'version',
      'node',
    ]);
    build.set(1, VERSION, process.versions.node);
    this.#connections = meter.gauge('rollcall_registry_connections', 'Connections at its port now.');
    this.#lag = meter.gauge(
      'rollcall_registry_event_loop_lag_seconds',
      'How late the event loop was within the last 10 to 20 s, or since it was asked last: p50, p99, max.',
      ['at'],
    );
    this.#cpu = own.counter('process_cpu_seconds_total', 'CPU time of this process, user and system.');
    this.#resident = own.gauge('process_resident_memory_bytes', 'Memory of this process that is in RAM.');
    this.#heap = own.gauge('process_heap_bytes', 'JavaScript heap in use.');
    this.#started = own.gauge('process_start_time_seconds', 'When this process started, seconds since 1970.');
    this.#fds = own.gauge('process_open_fds', 'Open files and sockets.');
    this.#maxFds = own.gauge('process_max_fds', 'How many files and sockets may be open.');
    for (const gauge of [this.#fds, this.#maxFds, this.#connections]) gauge.forget();
  }

  /** Never rejects. */
  async look(server: Pick<Server, 'getConnections'> | null): Promise<void> {
    this.#lookAtLoop();
    const { user, system } = process.cpuUsage();
    const seconds = (user + system) / 1_000_000;
    this.#cpu.add(seconds - this.#cpuSeconds);
    this.#cpuSeconds = seconds;
    tell(this.#resident, residentBytes());
    this.#heap.set(getHeapStatistics().used_heap_size);
    this.#started.set(this.#time.wall() / 1_000 - process.uptime());
    const [connections, fds, { openFiles }] = await Promise.all([
      connectionsOf(server),
      openFds(),
      (this.#facts ??= readHostFacts()),
    ]);
    tell(this.#connections, connections);
    tell(this.#fds, fds);
    tell(this.#maxFds, openFiles);
    if (openFiles === null) this.#facts = null; // it may be known next time
  }

  /** Looks at the event loop no more. May be called twice. */
  close(): void {
    this.#loop?.disable();
    this.#loop = null;
  }

  /** From the first time on that somebody wants to know: nobody pays for what nobody reads. */
  #lookAtLoop(): void {
    const now = this.#time.now();
    if (this.#loop === null) {
      this.#loop = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
      this.#loop.enable();
      this.#windowAt = now;
    }
    const lag = lagOf(this.#loop);
    for (const at of ['p50', 'p99', 'max'] as const) this.#lag.set(Math.max(lag[at], this.#former[at]), at);
    if (now - this.#windowAt < WINDOW_MS) return;
    this.#former = lag;
    this.#windowAt = now;
    this.#loop.reset();
  }
}

/** What is not known, as everywhere but on Linux, or while no file can be opened, is not 0, nor what it was before. */
function tell(gauge: Gauge, value: number | null): void {
  if (value === null) gauge.forget();
  else gauge.set(value);
}

/** On Linux Node reads a file for it. */
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

/** Since Linux 6.2 the folder says how many there are, without being read. */
async function openFds(): Promise<number | null> {
  try {
    const { size } = await stat(FDS);
    return size > 0 ? size : (await readdir(FDS)).length;
  } catch {
    return null;
  }
}
