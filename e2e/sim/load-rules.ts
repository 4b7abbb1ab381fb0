import type { Tombstone } from '@rollcall/core';
import type { RuleContext, Ledger } from './ledger.js';
import type { LineCount } from './line-count.js';
import { callerOf } from './registry-node.js';
import type { Request, RequestOutcome } from './registry-node.js';
import type { SimulationView } from './simulation-view.js';
import type { Truth } from './truth.js';

/**
 * The limit of requests to the registry within an interval, for one process. A quiet one sends one; one that finds a
 * registry without memory registers, opens a stream, and beats once for each proof that it is asked for: measured,
 * never more than 7.
 */
const MAX_REGISTRATIONS = 2;
const MAX_REQUESTS = 10;
/** The window in which a storm of registrations is counted. */
const STORM_MS = 500;
/** After this, everything has settled. */
const CALM_MS = 45_000;
const TOMBSTONES_KEPT_MS = 600_000;
/** Of a sweep, and of a check every 500 ms. */
const SLACK_MS = 2_000;
/** Each process needs a timer for its heartbeat, its feed and a sweep, and some reserve. */
const MAX_TIMERS = 6;
/** In an hour in which nothing happens. */
const MAX_LINES = 2;

interface ProcessLoad {
  readonly id: string;
  readonly at: number;
  readonly max: number;
  readonly what: string;
}

/**
 * L4: no process overloads the registry, whatever happened to it. L5: what a process holds does not grow while nothing
 * happens.
 */
export class LoadRules {
  readonly #simulation: SimulationView;
  readonly #truth: Truth;
  readonly #ledger: Ledger;
  /** When each process sent a request, and when it registered, within the last interval. */
  readonly #requested = new Map<string, number[]>();
  readonly #registered = new Map<string, number[]>();
  readonly #sentAt = new WeakMap<Request, number>();
  /** When the registry first accepted each process, virtual ms. */
  readonly #acceptedAt = new Map<string, number>();
  readonly #tombstoneAt = new Map<string, number>();
  /** The line count of each log at the beginning of the calm. */
  #lines = new Map<LineCount, number>();

  constructor(of: RuleContext) {
    this.#simulation = of.simulation;
    this.#truth = of.truth;
    this.#ledger = of.ledger;
  }

  /** A process sends a request. */
  requested(request: Request): void {
    this.#sentAt.set(request, this.#simulation.world.now);
  }

  /**
   * The request has reached the registry, maybe much later, out of the buffers of a kernel. A process that was asked to
   * retry may.
   */
  arrived(request: Request, { ok, problem }: RequestOutcome): void {
    const id = callerOf(request);
    const at = this.#sentAt.get(request);
    if (id === null || at === undefined) return;
    this.#count(this.#requested, { id, at, max: MAX_REQUESTS, what: 'asks' });
    if (request.route !== 'register' || problem?.code === 'NOT_READY') return;
    if (this.#isSentAfterAcceptance(id, at) && !this.#wasStopped(id)) this.#judgeStorm(at);
    if (ok && !this.#acceptedAt.has(id)) this.#acceptedAt.set(id, this.#simulation.world.now);
    this.#count(this.#registered, { id, at, max: MAX_REGISTRATIONS, what: 'registers' });
  }

  removed({ id }: Tombstone): void {
    this.#tombstoneAt.set(id, this.#simulation.world.now);
  }

  judge(): void {
    this.#judgeTombstones();
    const isCalm = this.#simulation.world.now - this.#truth.calmSince > CALM_MS;
    if (!isCalm) {
      this.#lines = new Map();
      return;
    }
    this.#judgeRegistry();
    for (const { process, log, place } of this.#simulation.clients.values()) {
      if (!process.isRunning) continue;
      // one stream and one heartbeat to the registry; one connection to each instance it calls
      const calls = place.service === null ? this.#ledger.listed.size : 0;
      this.#judgeHandles(process.name, process.timers, MAX_TIMERS + calls);
      this.#judgeHandles(
        process.name,
        this.#simulation.network.endsOf(process),
        4 + 2 * calls + place.endpoints.length,
      );
      this.#judgeLog(process.name, log);
    }
  }

  /**
   * All processes that register again spread over the interval, as they beat: at most at twice that rate, and what
   * chance adds.
   */
  #judgeStorm(at: number): void {
    const { intervalMs } = this.#simulation.registry.policy;
    const { reRegistrations } = this.#ledger;
    reRegistrations.push(at);
    const expected = (STORM_MS / intervalMs) * this.#simulation.places.filter(({ service }) => service !== null).length;
    const max = 2 * expected + 4 * Math.sqrt(expected) + 3;
    const count = reRegistrations.filter((other) => Math.abs(at - other) < STORM_MS).length;
    if (count > max) this.#ledger.report('L4', `${count} register again within ${STORM_MS} ms`);
  }

  /**
   * Whether it sent this after the registry had already accepted it. A process whose first registration gets no answer
   * tries again after the timeout and a jitter that begins small, so processes that started together retry together:
   * each at most twice an interval, which `MAX_REGISTRATIONS` judges. A frozen registry's kernel keeps all these
   * retries, and the registry answers them when it continues.
   */
  #isSentAfterAcceptance(id: string, at: number): boolean {
    return at > (this.#acceptedAt.get(id) ?? Infinity);
  }

  /** Processes that continued together after a stop beat at the same moment from then on, and so notice together. */
  #wasStopped(id: string): boolean {
    return (this.#simulation.known.get(id)?.process.resumedAt ?? -Infinity) > -Infinity;
  }

  #count(times: Map<string, number[]>, { id, at, max, what }: ProcessLoad): void {
    const { intervalMs } = this.#simulation.registry.policy;
    const recent = [...(times.get(id) ?? []).filter((other) => Math.abs(at - other) < intervalMs), at];
    times.set(id, recent);
    if (recent.length > max) this.#ledger.report('L4', `${id} ${what} ${recent.length} times within an interval`);
  }

  /** L5: a removal is remembered for ten minutes. */
  #judgeTombstones(): void {
    const { now } = this.#simulation.world;
    const { listeningSince } = this.#simulation.registry;
    if (now - listeningSince < TOMBSTONES_KEPT_MS + SLACK_MS) return;
    for (const { service } of this.#simulation.places) {
      for (const { id } of (service === null ? null : this.#ledger.view(service))?.removed ?? []) {
        const tombstoneAt = this.#tombstoneAt.get(id) ?? -Infinity;
        if (now - tombstoneAt < TOMBSTONES_KEPT_MS + SLACK_MS) continue;
        this.#ledger.report('L5', `the registry still has a tombstone of ${id}`);
      }
    }
  }

  #judgeRegistry(): void {
    const { registry, process, log } = this.#simulation.registry;
    const about = registry?.describe();
    if (process === null || about?.ok !== true) return;
    const { instances, watchers } = about.value;
    const running = [...this.#simulation.clients.values()].filter((client) => client.process.isAlive).length;
    // the checker's own watcher is one
    this.#judgeHandles('the registry', watchers, running + 1);
    this.#judgeHandles('the registry', process.timers, MAX_TIMERS + 2 * instances);
    this.#judgeHandles('the registry', this.#simulation.network.endsOf(process), 2 * (running + instances) + 4);
    this.#judgeLog('the registry', log);
  }

  #judgeHandles(name: string, held: number, max: number): void {
    if (held > max)
      this.#ledger.report('L5', `${name} holds ${held} of something, and needs ${max} while nothing happens`);
  }

  #judgeLog(name: string, log: LineCount): void {
    const before = this.#lines.get(log) ?? log.lines;
    this.#lines.set(log, before);
    if (log.lines - before > MAX_LINES) this.#ledger.report('L5', `${name} goes on logging while nothing happens`);
  }
}
