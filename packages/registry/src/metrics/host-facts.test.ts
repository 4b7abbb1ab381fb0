import { ManualTime } from '@rollcall/core/testing';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { processFactsOf, readHostFacts } from './host-facts.js';

const folders: string[] = [];
afterEach(() => Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true }))));

/** A copy of /proc of a Linux host with these files replaced; null: the file does not exist. */
async function proc(files: Readonly<Record<string, string | null>> = {}): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rollcall-proc-'));
  folders.push(folder);
  for (const [path, text] of Object.entries({ ...LINUX, ...files })) {
    if (text === null) continue;
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  return folder;
}

const NETFILTER = 'sys/net/netfilter/nf_conntrack';
const LINUX = {
  'self/limits': [
    'Limit                     Soft Limit           Hard Limit           Units     ',
    'Max processes             127231               127231               processes ',
    'Max open files            1024                 524288               files     ',
    '',
  ].join('\n'),
  'sys/net/ipv4/ip_local_port_range': '32768\t60999\n',
  'sys/net/ipv4/tcp_max_tw_buckets': '131072\n',
  'sys/net/ipv4/tcp_tw_reuse': '2\n',
  'sys/net/core/somaxconn': '4096\n',
  [`${NETFILTER}_max`]: '262144\n',
  [`${NETFILTER}_count`]: '17\n',
  [`${NETFILTER}_tcp_timeout_time_wait`]: '120\n',
};

describe('the facts of the host', () => {
  it('are read from /proc', async () => {
    expect(await readHostFacts(await proc())).toEqual({
      openFiles: 1_024,
      localPorts: 28_232,
      timeWaits: 131_072,
      reusesTimeWaits: true,
      trackedConnections: 262_144,
      trackedTimeWaitMs: 120_000,
      acceptQueue: 4_096,
    });
  });

  it('are unknown without /proc', async () => {
    expect(await readHostFacts(join(await proc(), 'nowhere'))).toEqual({
      openFiles: null,
      localPorts: null,
      timeWaits: null,
      reusesTimeWaits: false,
      trackedConnections: null,
      trackedTimeWaitMs: null,
      acceptQueue: null,
    });
  });

  it('ignore an empty connection table, which no rule uses', async () => {
    expect(await readHostFacts(await proc({ [`${NETFILTER}_count`]: '0\n' }))).toMatchObject({
      trackedConnections: null,
      openFiles: 1_024,
    });
  });

  it.each([
    ['self/limits', 'Max open files            unlimited            unlimited            files     \n', 'openFiles'],
    ['self/limits', '', 'openFiles'],
    ['sys/net/ipv4/ip_local_port_range', '32768', 'localPorts'],
    ['sys/net/core/somaxconn', 'many\n', 'acceptQueue'],
    ['sys/net/ipv4/tcp_max_tw_buckets', null, 'timeWaits'],
  ])('does not guess: %s with %j', async (path, text, fact) => {
    const facts = await readHostFacts(await proc({ [path]: text }));
    expect(facts).toMatchObject({ [fact]: null });
  });
});

const factsOf = (folder: string) => processFactsOf(new ManualTime(), folder)();

describe('the facts of this process', () => {
  it('are its number of open files and their maximum', async () => {
    const folder = await proc({ 'self/fd/0': '', 'self/fd/1': '', 'self/fd/2': '', 'self/fd/3': '' });
    // one of them is the listing itself
    expect((await factsOf(folder)).files).toEqual({ open: 3, most: 1_024 });
    expect((await factsOf(join(folder, 'nothing'))).files).toBeNull();
  });

  it('are read again after five seconds, and not before', async () => {
    const time = new ManualTime();
    const folder = await proc({ 'self/fd/0': '', 'self/fd/1': '' });
    const facts = processFactsOf(time, folder);
    expect((await facts()).files?.open).toBe(1);
    await writeFile(join(folder, 'self/fd/2'), '');
    time.advance(4_999);
    expect((await facts()).files?.open).toBe(1);
    time.advance(1);
    expect((await facts()).files?.open).toBe(2);
  });

  it('include its container', async () => {
    const folder = await proc({ 'self/cgroup': '4:cpu:/kubepods/pod1\n' });
    expect((await factsOf(folder)).container).toBe('kubernetes');
    const environ = 'PATH=/bin\0KUBERNETES_SERVICE_HOST=10.0.0.1\0';
    expect((await factsOf(await proc({ 'self/environ': environ }))).container).toBe('kubernetes');
  });
});
