/**
 * Does the host carry what the registry is to take in? Open files, the firewall's table, ports, TIME_WAIT and the accept queue,
 * each with its formula. docs/SIZING.md explains them, and tells which setting to change.
 */
import type { Log, Time, Timer } from '@rollcall/core';
import type { HostFacts } from './host-facts.js';

/** How a registry works, as far as its host feels it. */
export interface Workload {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Every n-th heartbeat opens a connection; the others keep one, in each direction. */
  readonly freshEvery: number;
  /** Heartbeat-1 calls under way at most. */
  readonly maxCalls: number;
  /** Does every instance run on this host, too, so that both ends of each connection are its own? */
  readonly isLocal: boolean;
}

/** Whom a registry carries. */
export interface Load {
  readonly instances: number;
  /** Open change feeds, the lines of instances included. */
  readonly watchers: number;
}

/** What a host carries at most, one watcher (its line) for each instance. */
export interface Capacity {
  readonly instances: number;
  /** What is used up first, with its size: `20,000 open files`. */
  readonly boundBy: string;
}

/** Something of which the host has so much. */
export interface Budget {
  readonly name: string;
  readonly have: number;
  readonly need: (load: Load) => number;
  /** What happens where it is used up, and what to do. */
  readonly remedy: string;
}

/** A budget as people are told of it, and how much of it is used. */
export interface BudgetAnswer {
  readonly name: string;
  readonly have: number;
  readonly used: number;
  readonly remedy: string;
}

/** For the program itself, its store, its log, dashboards and scrapes. */
const RESERVED_FILES = 200;
/** A Heartbeat-2 that is taken in by a busy registry has its connection open for less than this. */
const BEAT_OPEN_MS = 250;
/** A Heartbeat-1 that timed out keeps its connection open so long for a late answer and a farewell, if there is a place for it. */
const LINGERING_MS = 4_000;
/** Of the places for calls under way; and of the open files at most. */
const LINGERING_SHARE = 1 / 4;
const LINGERING_SHARE_OF_FILES = 1 / 16;
const LEAST_LINGERING = 16;
/** Linux remembers a closed connection this long: in TCP itself, on the loopback where it reuses, and in the firewall. */
const TIME_WAIT_MS = 60_000;
const REUSED_MS = 1_000;
const TRACKED_MS = 120_000;
/**
 * Connections that may wait to be accepted; the kernel may allow fewer (net.core.somaxconn). Node's 511 are those of a tenth of a
 * second when a large fleet beats on fresh connections, and who finds no room tries again only after a second.
 */
export const ACCEPT_QUEUE = 4_096;
/** A pause of the registry (a collection of garbage, a flush) that must lose no connection. */
const PAUSE_MS = 100;
/** Of a budget; from here on people are told while there is time to act. */
const TOLD_FROM = 0.8;
const LOOK_MS = 60_000;
const MOST_INSTANCES = 1_000_000;

/** One sentence for each budget of the host that cannot carry `asked`: what was asked for, never mere defaults. */
export function shortfalls(asked: Load, work: Workload, host: HostFacts): readonly string[] {
  return budgetsOf(work, host)
    .filter((budget) => budget.need(asked) > budget.have)
    .map((budget) => {
      const carried = countText(carriedBy(budget), 'instance');
      const { name, have, remedy } = budget;
      return `${loadText(asked)} need ${needText(budget, asked)} ${name} and may have ${numberText(have)}: enough for ${carried}. ${remedy} See docs/SIZING.md.`;
    });
}

/** How many instances the host carries at this pace; null where nothing is known of it. */
export function capacityOf(work: Workload, host: HostFacts): Capacity | null {
  const bounds = budgetsOf(work, host).map((budget) => ({ instances: carriedBy(budget), boundBy: sizeText(budget) }));
  return bounds.toSorted((a, b) => a.instances - b.instances)[0] ?? null;
}

/** Every budget of the host, and how much of it this load uses. */
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
  /** Whom the registry carries now; null while it cannot tell. */
  readonly load: () => Load | null;
}

/** Looks once a minute, and warns once of each budget that is used to 80 %: by those who came, not by a limit that nobody reaches. */
export class HostWatch {
  readonly #ports: WatchedHost;
  #quiet: readonly Budget[];
  #timer: Timer | null = null;

  constructor(ports: WatchedHost) {
    this.#ports = ports;
    this.#quiet = budgetsOf(ports.work, ports.host);
    this.#arm();
  }

  /** May be called twice. */
  close(): void {
    this.#timer?.cancel();
    this.#quiet = [];
  }

  #arm(): void {
    if (this.#quiet.length === 0) return;
    this.#timer = this.#ports.time.setTimer(LOOK_MS, () => this.#look(), { background: true });
  }

  #look(): void {
    const load = this.#ports.load();
    if (load !== null) {
      const isTight = (budget: Budget): boolean => budget.need(load) >= TOLD_FROM * budget.have;
      for (const budget of this.#quiet.filter(isTight)) {
        this.#ports.log.warn(
          `${loadText(load)} use about ${needText(budget, load)} of ${sizeText(budget)}. ${budget.remedy} See docs/SIZING.md.`,
        );
      }
      this.#quiet = this.#quiet.filter((budget) => !isTight(budget));
    }
    this.#arm();
  }
}

/** Fewer than this help nobody. */
const LEAST_CONNECTIONS = 16;

/**
 * How many connections may be open at the port so that files are left for Heartbeat-1: what all instances that the host's files carry take,
 * each with its line, and no more. Null where it is not known how many files there are.
 */
export function connectionsFor(work: Workload, { openFiles }: HostFacts): number | null {
  if (openFiles === null) return null;
  const instances = carriedBy({ have: openFiles, need: (load) => filesOf(work, openFiles, load) });
  return Math.max(LEAST_CONNECTIONS, openFiles - RESERVED_FILES - Math.ceil(outgoingOf(work, openFiles, instances)));
}

/** How many connections of Heartbeat-1 may wait, after the call, for the called side to close. */
export function lingeringFor(
  { maxCalls }: Pick<Workload, 'maxCalls'>,
  { openFiles }: Pick<HostFacts, 'openFiles'>,
): number {
  const ofCalls = Math.max(LEAST_LINGERING, maxCalls * LINGERING_SHARE);
  return Math.ceil(Math.min(ofCalls, (openFiles ?? Infinity) * LINGERING_SHARE_OF_FILES));
}

/** Open files for calls under way and for those that linger, as if all timed out, and for those that are kept between calls. */
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

/** One for each fact that is known of the host and matters for this workload. */
export function budgetsOf(work: Workload, host: HostFacts): readonly Budget[] {
  const { intervalMs, freshEvery, isLocal } = work;
  const { openFiles } = host;
  // of one direction, per instance
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

/** The most instances, each with its line, that fit: what they need grows with their number. */
function carriedBy({ have, need }: Pick<Budget, 'have' | 'need'>): number {
  let low = 0;
  let high = MOST_INSTANCES;
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
