import type { Tombstone } from '@rollcall/core';
import type { RuleContext, Ledger } from './ledger.js';
import type { LineCount } from './line-count.js';
import { callerOf } from './registry-node.js';
import type { Request, RequestOutcome } from './registry-node.js';
import type { Scene } from './scene.js';
import type { Truth } from './truth.js';

/**
 * The limit of requests to the registry within an interval, for one process. A quiet one sends one; one that finds a
 * registry without memory registers, opens a stream, and beats once for each proof that it is asked for: measured,
 * never more than 7.
 */
const MOST_REGISTRATIONS = 2;
const MOST_REQUESTS = 10;
/** The window in which a storm of registrations is counted. */
const STORM_MS = 500;
/** After this, everything has settled. */
const CALM_MS = 45_000;
const TOMBSTONES_KEPT_MS = 600_000;
/** Of a sweep, and of a check every 500 ms. */
const SLACK_MS = 2_000;
/** Each process needs a timer for its heartbeat, its feed and a sweep, and some reserve. */
const MOST_TIMERS = 6;
/** In an hour in which nothing happens. */
const MOST_LINES = 2;

interface Asked {
  readonly id: string;
  readonly at: number;
  readonly most: number;
  readonly what: string;
}

/**
 * L4: no process overloads the registry, whatever happened to it. L5: what a process holds does not grow while nothing
 * happens.
 */
export class LoadRules {
  readonly #scene: Scene;
  readonly #truth: Truth;
  readonly #ledger: Ledger;
  /** When each process sent a request, and when it registered, within the last interval. */
  readonly #requested = new Map<string, number[]>();
  readonly #registered = new Map<string, number[]>();
  readonly #sentAt = new WeakMap<Request, number>();
  /** When the registry first accepted each process, virtual ms. */
  readonly #takenAt = new Map<string, number>();
  readonly #buriedAt = new Map<string, number>();
  /** The line count of each log at the beginning of the calm. */
  #lines = new Map<LineCount, number>();

  constructor(of: RuleContext) {
    this.#scene = of.scene;
    this.#truth = of.truth;
    this.#ledger = of.ledger;
  }

  /** A process sends a request. */
  requested(request: Request): void {
    this.#sentAt.set(request, this.#scene.world.now);
  }

  /**
   * The request has reached the registry, maybe much later, out of the buffers of a kernel. A process that was asked to
   * retry may.
   */
  arrived(request: Request, { ok, problem }: RequestOutcome): void {
    const id = callerOf(request);
    const at = this.#sentAt.get(request);
    if (id === null || at === undefined) return;
    this.#count(this.#requested, { id, at, most: MOST_REQUESTS, what: 'asks' });
    if (request.route !== 'register' || problem?.code === 'NOT_READY') return;
    if (this.#isAgain(id, at) && !this.#wasStopped(id)) this.#countAll(at);
    if (ok && !this.#takenAt.has(id)) this.#takenAt.set(id, this.#scene.world.now);
    this.#count(this.#registered, { id, at, most: MOST_REGISTRATIONS, what: 'registers' });
  }

  removed({ id }: Tombstone): void {
    this.#buriedAt.set(id, this.#scene.world.now);
  }

  judge(): void {
    this.#judgeTombstones();
    const isCalm = this.#scene.world.now - this.#truth.calmSince > CALM_MS;
    if (!isCalm) {
      this.#lines = new Map();
      return;
    }
    this.#judgeRegistry();
    for (const { process, log, place } of this.#scene.tenants.values()) {
      if (!process.isRunning) continue;
      // one stream and one heartbeat to the registry; one connection to each instance it calls
      const calls = place.service === null ? this.#ledger.listed.size : 0;
      this.#judgeHandles(process.name, process.timers, MOST_TIMERS + calls);
      this.#judgeHandles(process.name, this.#scene.network.endsOf(process), 4 + 2 * calls + place.endpoints.length);
      this.#judgeLog(process.name, log);
    }
  }

  /**
   * All processes that register again spread over the interval, as they beat: at most at twice that rate, and what
   * chance adds.
   */
  #countAll(at: number): void {
    const { intervalMs } = this.#scene.registry.policy;
    const { reRegistrations } = this.#ledger;
    reRegistrations.push(at);
    const usual = (STORM_MS / intervalMs) * this.#scene.places.filter(({ service }) => service !== null).length;
    const most = 2 * usual + 4 * Math.sqrt(usual) + 3;
    const count = reRegistrations.filter((other) => Math.abs(at - other) < STORM_MS).length;
    if (count > most) this.#ledger.report('L4', `${count} register again within ${STORM_MS} ms`);
  }

  /**
   * Whether it sent this after the registry had already accepted it. A process whose first registration gets no answer
   * tries again after the timeout and a jitter that begins small, so processes that started together retry together:
   * each at most twice an interval, which `MOST_REGISTRATIONS` judges. A frozen registry's kernel keeps all these
   * retries, and the registry answers them when it continues.
   */
  #isAgain(id: string, at: number): boolean {
    return at > (this.#takenAt.get(id) ?? Infinity);
  }

  /** Processes that continued together after a stop beat at the same moment from then on, and so notice together. */
  #wasStopped(id: string): boolean {
    return (this.#scene.known.get(id)?.process.wentOnAt ?? -Infinity) > -Infinity;
  }

  #count(times: Map<string, number[]>, { id, at, most, what }: Asked): void {
    const { intervalMs } = this.#scene.registry.policy;
    const recent = [...(times.get(id) ?? []).filter((other) => Math.abs(at - other) < intervalMs), at];
    times.set(id, recent);
    if (recent.length > most) this.#ledger.report('L4', `${id} ${what} ${recent.length} times within an interval`);
  }

  /** L5: a removal is remembered for ten minutes. */
  #judgeTombstones(): void {
    const { now } = this.#scene.world;
    const { listeningSince } = this.#scene.registry;
    if (now - listeningSince < TOMBSTONES_KEPT_MS + SLACK_MS) return;
    for (const { service } of this.#scene.places) {
      for (const { id } of (service === null ? null : this.#ledger.view(service))?.removed ?? []) {
        const buriedAt = this.#buriedAt.get(id) ?? -Infinity;
        if (now - buriedAt < TOMBSTONES_KEPT_MS + SLACK_MS) continue;
        this.#ledger.report('L5', `the registry still has a tombstone of ${id}`);
      }
    }
  }

  #judgeRegistry(): void {
    const { registry, process, log } = this.#scene.registry;
    const about = registry?.describe();
    if (process === null || about?.ok !== true) return;
    const { instances, watchers } = about.value;
    const running = [...this.#scene.tenants.values()].filter((tenant) => tenant.process.isAlive).length;
    // the checker's own watcher is one
    this.#judgeHandles('the registry', watchers, running + 1);
    this.#judgeHandles('the registry', process.timers, MOST_TIMERS + 2 * instances);
    this.#judgeHandles('the registry', this.#scene.network.endsOf(process), 2 * (running + instances) + 4);
    this.#judgeLog('the registry', log);
  }

  #judgeHandles(who: string, held: number, most: number): void {
    if (held > most)
      this.#ledger.report('L5', `${who} holds ${held} of something, and needs ${most} while nothing happens`);
  }

  #judgeLog(who: string, log: LineCount): void {
    const before = this.#lines.get(log) ?? log.lines;
    this.#lines.set(log, before);
    if (log.lines - before > MOST_LINES) this.#ledger.report('L5', `${who} goes on logging while nothing happens`);
  }
}
