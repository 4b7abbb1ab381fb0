/**
 * Checks whether the host can carry the configured load of the registry: open files, the connection table of the
 * firewall, ports, TIME_WAIT and the accept queue, each with its formula. docs/SIZING.md explains them, and names the
 * setting to change.
 */
import type { BudgetAnswer, Log, Time, Timer } from '@rollcall/core';
import type { HostFacts } from './host-facts.js';

/** The parameters of a registry that determine the load on its host. */
export interface Workload {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Every n-th heartbeat opens a connection; the others reuse one in each direction. */
  readonly freshEvery: number;
  /** Maximum of concurrent Heartbeat-1 calls. */
  readonly maxCalls: number;
  /** True if all instances run on this host, too, so that it has both ends of each connection. */
  readonly isLocal: boolean;
}

/** The load of a registry. */
export interface Load {
  readonly instances: number;
  /** Open change feeds, the lines of instances included. */
  readonly watchers: number;
}

/** The capacity of a host, with one watcher (its line) per instance. */
export interface Capacity {
  readonly instances: number;
  /** The resource that is used up first, with its size: `20,000 open files`. */
  readonly boundBy: string;
}

/** A limited resource of the host. */
export interface Budget {
  readonly name: string;
  readonly have: number;
  readonly need: (load: Load) => number;
  /** The effect of its exhaustion, and the fix. */
  readonly remedy: string;
}

/** Files for the program itself, its store, its log, dashboards and scrapes. */
const RESERVED_FILES = 200;
/** A busy registry keeps the connection of a Heartbeat-2 open for less than this, ms. */
const BEAT_OPEN_MS = 250;
/**
 * A Heartbeat-1 that timed out keeps its connection open this long for a late answer and the close, ms, if there is a
 * place for it.
 */
const LINGERING_MS = 4_000;
/** Lingering connections: maximum share of the places for concurrent calls, and of the open files. */
const LINGERING_SHARE = 1 / 4;
const LINGERING_SHARE_OF_FILES = 1 / 16;
const MIN_LINGERING = 16;
/**
 * How long Linux remembers a closed connection, ms: in TCP itself, on a loopback that reuses ports, and in the
 * firewall.
 */
const TIME_WAIT_MS = 60_000;
const REUSED_MS = 1_000;
const TRACKED_MS = 120_000;
/**
 * Connections that may wait to be accepted; the kernel may allow fewer (net.core.somaxconn). Node's default of 511 is
 * what a large fleet on fresh connections opens in a tenth of a second, and a connection that finds no room is retried
 * only after a second.
 */
export const ACCEPT_QUEUE = 4_096;
/** A pause of the registry (garbage collection, a flush) that must lose no connection, ms. */
const PAUSE_MS = 100;
/** Share of a budget from which on a warning is logged, so that there is time to act. */
const WARN_FROM = 0.8;
const CHECK_MS = 60_000;
const MAX_INSTANCES = 1_000_000;

/** One sentence for each budget of the host that cannot carry `requested`, the configured load (not defaults). */
export function shortfalls(requested: Load, work: Workload, host: HostFacts): readonly string[] {
  return budgetsOf(work, host)
    .filter((budget) => budget.need(requested) > budget.have)
    .map((budget) => {
      const carried = countText(instancesWithin(budget), 'instance');
      const { name, have, remedy } = budget;
      return `${loadText(requested)} need ${needText(budget, requested)} ${name} and may have ${numberText(have)}: enough for ${carried}. ${remedy} See docs/SIZING.md.`;
    });
}

/** The number of instances that the host can carry with this workload; null if nothing is known about it. */
export function capacityOf(work: Workload, host: HostFacts): Capacity | null {
  const bounds = budgetsOf(work, host).map((budget) => ({
    instances: instancesWithin(budget),
    boundBy: sizeText(budget),
  }));
  return bounds.toSorted((a, b) => a.instances - b.instances)[0] ?? null;
}

/** Every budget of the host and how much of it this load uses. */
export function usedOf(load: Load, work: Workload, host: HostFacts): readonly BudgetAnswer[] {
  return budgetsOf(work, host).map(({ name, have, need, remedy }) => ({
    name,
    have,
    used: Math.ceil(need(load)),
    remedy,
  }));
}

interface WatchedHost {
  readonly time: Time;
  readonly log: Log;
  readonly work: Workload;
  readonly host: HostFacts;
  /** The current load; null while it is not known. */
  readonly load: () => Load | null;
}

/**
 * Checks once a minute, and warns once for each budget that is 80 % used by the actual load, not by a limit that is
 * never reached.
 */
export class HostWatch {
  readonly #ports: WatchedHost;
  #unreported: readonly Budget[];
  #timer: Timer | null = null;

  constructor(ports: WatchedHost) {
    this.#ports = ports;
    this.#unreported = budgetsOf(ports.work, ports.host);
    this.#arm();
  }

  /** Stops. Idempotent. */
  close(): void {
    this.#timer?.cancel();
    this.#unreported = [];
  }

  #arm(): void {
    if (this.#unreported.length === 0) return;
    this.#timer = this.#ports.time.setTimer(CHECK_MS, () => this.#check(), { background: true });
  }

  #check(): void {
    const load = this.#ports.load();
    if (load !== null) {
      const isTight = (budget: Budget): boolean => budget.need(load) >= WARN_FROM * budget.have;
      for (const budget of this.#unreported.filter(isTight)) {
        this.#ports.log.warn(
          `${loadText(load)} use about ${needText(budget, load)} of ${sizeText(budget)}. ${budget.remedy} See docs/SIZING.md.`,
        );
      }
      this.#unreported = this.#unreported.filter((budget) => !isTight(budget));
    }
    this.#arm();
  }
}

/** Minimum of connections at the port. */
const MIN_CONNECTIONS = 16;

/**
 * Maximum of connections at the port, so that files are left for Heartbeat-1: what the instances that the open files
 * allow need, each with its line. Null if the number of files is not known.
 */
export function connectionsFor(work: Workload, { openFiles }: HostFacts): number | null {
  if (openFiles === null) return null;
  const instances = instancesWithin({ have: openFiles, need: (load) => filesOf(work, openFiles, load) });
  return Math.max(MIN_CONNECTIONS, openFiles - RESERVED_FILES - Math.ceil(outgoingOf(work, openFiles, instances)));
}

/** Maximum of Heartbeat-1 connections that wait, after the call, for the called side to close. */
export function lingeringFor(
  { maxCalls }: Pick<Workload, 'maxCalls'>,
  { openFiles }: Pick<HostFacts, 'openFiles'>,
): number {
  const ofCalls = Math.max(MIN_LINGERING, maxCalls * LINGERING_SHARE);
  return Math.ceil(Math.min(ofCalls, (openFiles ?? Infinity) * LINGERING_SHARE_OF_FILES));
}

/** Open files for calls under way and lingering ones, as if all timed out, and for connections kept between calls. */
function outgoingOf(work: Workload, openFiles: number, instances: number): number {
  const { intervalMs, timeoutMs, freshEvery, maxCalls } = work;
  const lingering = Math.min(lingeringFor(work, { openFiles }), (instances * LINGERING_MS) / intervalMs);
  const calls = Math.min(maxCalls, (instances * timeoutMs) / intervalMs);
  return calls + lingering + (freshEvery > 1 ? instances : 0);
}

function filesOf(work: Workload, openFiles: number, { instances, watchers }: Load): number {
  const incoming =
    (BEAT_OPEN_MS * instances) / (work.intervalMs * work.freshEvery) + (work.freshEvery > 1 ? instances : 0);
  return RESERVED_FILES + watchers + outgoingOf(work, openFiles, instances) + incoming;
}

/** The budgets of the host: one for each known fact that matters for this workload. */
export function budgetsOf(work: Workload, host: HostFacts): readonly Budget[] {
  const { intervalMs, freshEvery, isLocal } = work;
  const { openFiles } = host;
  // per instance and direction
  const kept = freshEvery > 1 ? 1 : 0;
  const freshPerMs = 1 / (intervalMs * freshEvery);
  const trackedMs = host.trackedTimeWaitMs ?? TRACKED_MS;
  const portMs = host.reusesTimeWaits ? REUSED_MS : TIME_WAIT_MS;
  const raise =
    (host.acceptQueue ?? 0) < ACCEPT_QUEUE ? `raise net.core.somaxconn to ${ACCEPT_QUEUE} or more, or ` : '';
  const budget = (have: number | null, rest: Omit<Budget, 'have'>): readonly Budget[] =>
    have === null ? [] : [{ have, ...rest }];
  return [
    ...budget(openFiles, {
      name: 'open files',
      need: (load) => filesOf(work, openFiles ?? Infinity, load),
      remedy: 'Beyond it connections are not accepted: raise the limit (ulimit -n, LimitNOFILE= of systemd).',
    }),
    ...budget(host.trackedConnections, {
      name: 'connections in the table of the firewall (nf_conntrack_max)',
      need: ({ instances, watchers }) => watchers + instances * 2 * (kept + trackedMs * freshPerMs),
      remedy:
        'Beyond it packets are dropped: raise net.netfilter.nf_conntrack_max, do not track the registry’s port, or choose a longer intervalMs or a larger freshEvery.',
    }),
    ...budget(isLocal ? host.localPorts : null, {
      name: 'local ports',
      need: ({ instances, watchers }) => watchers + instances * (kept + portMs * freshPerMs),
      remedy:
        'Beyond it instances find no port to connect from: widen net.ipv4.ip_local_port_range, or set net.ipv4.tcp_tw_reuse to 2.',
    }),
    ...budget(isLocal ? host.timeWaits : null, {
      name: 'connections in TIME_WAIT',
      need: ({ instances }) => instances * 2 * TIME_WAIT_MS * freshPerMs,
      remedy: 'Beyond it the kernel forgets them early and says so in its log: raise net.ipv4.tcp_max_tw_buckets.',
    }),
    ...budget(host.acceptQueue === null ? null : Math.min(host.acceptQueue, ACCEPT_QUEUE), {
      name: `connections that may wait for a pause of ${PAUSE_MS} ms`,
      need: ({ instances }) => instances * PAUSE_MS * freshPerMs,
      remedy: `Beyond it some come a second late: ${raise}choose a longer intervalMs or a larger freshEvery.`,
    }),
  ];
}

/** The maximum of instances, each with its line, that fits: the need grows with their number. */
function instancesWithin({ have, need }: Pick<Budget, 'have' | 'need'>): number {
  let low = 0;
  let high = MAX_INSTANCES;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (need({ instances: middle, watchers: middle }) <= have) low = middle;
    else high = middle - 1;
  }
  return low;
}

const sizeText = ({ have, name }: Budget): string => `${numberText(have)} ${name}`;
const needText = (budget: Budget, load: Load): string => numberText(Math.ceil(budget.need(load)));
const loadText = ({ instances, watchers }: Load): string =>
  `${countText(instances, 'instance')} and ${countText(watchers, 'watcher')}`;
const countText = (count: number, what: string): string => `${numberText(count)} ${what}${count === 1 ? '' : 's'}`;
const numberText = (count: number): string => count.toLocaleString('en-US');
