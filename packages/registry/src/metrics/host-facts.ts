import { CONTAINER_MARKS, containerIn } from '@rollcall/core';
import type { Container, Time } from '@rollcall/core';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** What the host gives to this process. Null: not known, as everywhere but on Linux; then nothing is concluded from it. */
export interface HostFacts {
  /** Files and sockets that this process may have open. */
  readonly openFiles: number | null;
  /** Local ports for connections that do not choose one. */
  readonly localPorts: number | null;
  /** Connections in TIME_WAIT that the kernel remembers. */
  readonly timeWaits: number | null;
  /** May a port in TIME_WAIT be used again for another connection of this machine to itself? */
  readonly reusesTimeWaits: boolean;
  /** Connections that the firewall may follow; null where it follows none. */
  readonly trackedConnections: number | null;
  /** How long the firewall remembers a connection that is over, in ms. */
  readonly trackedTimeWaitMs: number | null;
  /** Connections that may wait to be accepted. */
  readonly acceptQueue: number | null;
}

/** Files and sockets that this process has open, and may have. */
export interface OpenFiles {
  readonly open: number;
  readonly most: number;
}

/** How this process stands now. Null: not known. */
export interface ProcessFacts {
  readonly files: OpenFiles | null;
  readonly container: Container | null;
}

/** Answers are as old as this at most, ms: to list what is open costs as much as is open. */
const FRESH_MS = 5_000;

/**
 * Looks at `/proc` and at what container engines leave in theirs: at the container once, at what is open when it is asked, but one time at
 * once and not more often than every 5 s. Never rejects.
 */
export function processFactsOf(time: Pick<Time, 'now'>, proc = '/proc'): () => Promise<ProcessFacts> {
  const container = containerNow(proc);
  let files: { readonly at: number; readonly answer: Promise<OpenFiles | null> } | null = null;
  return async () => {
    const at = time.now();
    if (files === null || at - files.at >= FRESH_MS) files = { at, answer: openFilesNow(proc) };
    return { files: await files.answer, container: await container };
  };
}

async function containerNow(proc: string): Promise<Container | null> {
  const read = (path: string): Promise<string> => readFile(join(proc, path), 'utf8').catch(() => '');
  const [cgroup, environment] = await Promise.all([read('self/cgroup'), read('self/environ')]);
  const env = Object.fromEntries(environment.split('\0').map((each) => each.split('=', 2)));
  const marks = CONTAINER_MARKS.filter((mark) => existsSync(mark));
  return containerIn({ env, marks, cgroup });
}

/** The limit is read each time: it may be changed while the process runs (`prlimit`). */
async function openFilesNow(proc: string): Promise<OpenFiles | null> {
  try {
    const most = numberIn(openFilesIn(await readFile(join(proc, 'self/limits'), 'utf8')));
    // the listing has a file open itself
    return most === null ? null : { open: (await readdir(join(proc, 'self/fd'))).length - 1, most };
  } catch {
    return null;
  }
}

/** Looks at `/proc`. Never rejects: what cannot be read is not known. */
export async function readHostFacts(proc = '/proc'): Promise<HostFacts> {
  const read = (path: string): Promise<string | null> => readFile(join(proc, path), 'utf8').catch(() => null);
  const number = async (path: string): Promise<number | null> => numberIn(await read(path));
  const netfilter = 'sys/net/netfilter/nf_conntrack';
  const [limits, ports, timeWaits, reuse, acceptQueue, tracked, trackedNow, trackedSeconds] = await Promise.all([
    read('self/limits'),
    read('sys/net/ipv4/ip_local_port_range'),
    number('sys/net/ipv4/tcp_max_tw_buckets'),
    number('sys/net/ipv4/tcp_tw_reuse'),
    number('sys/net/core/somaxconn'),
    number(`${netfilter}_max`),
    number(`${netfilter}_count`),
    number(`${netfilter}_tcp_timeout_time_wait`),
  ]);
  return {
    openFiles: numberIn(openFilesIn(limits ?? '')),
    localPorts: portsIn(ports),
    timeWaits,
    // 1: everywhere, 2: on the loopback only
    reusesTimeWaits: reuse === 1 || reuse === 2,
    // the table is there as soon as the module is loaded, and stays empty where no rule needs it
    trackedConnections: trackedNow === 0 ? null : tracked,
    trackedTimeWaitMs: trackedSeconds === null ? null : trackedSeconds * 1_000,
    acceptQueue,
  };
}

const openFilesIn = (limits: string): string | null => /^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? null;

function numberIn(text: string | null): number | null {
  return text !== null && /^\s*\d+\s*$/.test(text) ? Number(text) : null;
}

function portsIn(text: string | null): number | null {
  const [, low, high] = /^\s*(\d+)\s+(\d+)\s*$/.exec(text ?? '') ?? [];
  return low === undefined || high === undefined ? null : Number(high) - Number(low) + 1;
}
