import { CONTAINER_MARKS, containerIn } from '@rollcall/core';
import type { Container, OpenFiles, ProcessFacts, Time } from '@rollcall/core';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The limits of the host for this process. Null: not known, as outside Linux; then nothing is concluded from it. */
export interface HostFacts {
  /** Maximum of open files and sockets of this process. */
  readonly openFiles: number | null;
  /** Number of ephemeral ports. */
  readonly localPorts: number | null;
  /** Maximum of connections in TIME_WAIT. */
  readonly timeWaits: number | null;
  /** True if a port in TIME_WAIT may be reused for a connection of this machine to itself. */
  readonly reusesTimeWaits: boolean;
  /** Maximum of connections that the firewall tracks; null if it tracks none. */
  readonly trackedConnections: number | null;
  /** Time for which the firewall remembers a closed connection, ms. */
  readonly trackedTimeWaitMs: number | null;
  /** Maximum of connections that wait to be accepted. */
  readonly acceptQueue: number | null;
}

/** Maximum age of an answer, ms: listing open files costs as much as there are. */
const FRESH_MS = 5_000;

/**
 * Reads `/proc` and the marks of container engines: the container once, the open files on demand, but only once at a
 * time and at most every 5 s. Never rejects.
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

/** Reads the limit each time: it may change while the process runs (`prlimit`). */
async function openFilesNow(proc: string): Promise<OpenFiles | null> {
  try {
    const max = numberIn(openFilesIn(await readFile(join(proc, 'self/limits'), 'utf8')));
    // the listing itself holds one file open
    return max === null ? null : { open: (await readdir(join(proc, 'self/fd'))).length - 1, most: max };
  } catch {
    return null;
  }
}

/** Reads `/proc`. Never rejects: a value that cannot be read is null. */
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
    // the table exists once the module is loaded, and stays empty if no rule needs it
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
