import { ManualTime, recordingLog } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { capacityOf, connectionsFor, HostWatch, lingeringFor, shortfalls } from './host-budget.js';
import type { Load, Workload } from './host-budget.js';
import type { HostFacts } from './host-facts.js';

/** Nothing is known, so nothing is a bound; tests set the known facts. */
const UNKNOWN: HostFacts = {
  openFiles: null,
  localPorts: null,
  timeWaits: null,
  reusesTimeWaits: false,
  trackedConnections: null,
  trackedTimeWaitMs: null,
  acceptQueue: null,
};
const work: Workload = { intervalMs: 5_000, timeoutMs: 2_000, freshEvery: 1, maxCalls: 2_000, isLocal: false };
const carried = (facts: Partial<HostFacts>, changes: Partial<Workload> = {}): number =>
  capacityOf({ ...work, ...changes }, { ...UNKNOWN, ...facts })?.instances ?? NaN;
const load = (instances: number, watchers = instances): Load => ({ instances, watchers });

describe('the capacity of a host', () => {
  it('is unknown without facts', () => {
    expect(capacityOf(work, UNKNOWN)).toBeNull();
  });

  it('is bound by open files: a line per instance, calls under way and lingering, heartbeats under way', () => {
    // 200 reserved + 2,000 calls + 500 that linger + 1.05 for each
    expect(carried({ openFiles: 20_000 })).toBe(16_476);
    // too few for 2,000 calls at once: 200 reserved + 64 that linger + 1.45 for each
    expect(carried({ openFiles: 1_024 })).toBe(524);
    expect(carried({ openFiles: 100 })).toBe(0);
  });

  it('leaves few files to lingering connections: a quarter of the calls, a sixteenth of the files', () => {
    expect(lingeringFor(work, { openFiles: null })).toBe(500);
    expect(lingeringFor(work, { openFiles: 1_048_576 })).toBe(500);
    expect(lingeringFor(work, { openFiles: 1_024 })).toBe(64);
    expect(lingeringFor({ maxCalls: 1 }, { openFiles: null })).toBe(16);
  });

  it('leaves connections for all instances, and files for the calls', () => {
    for (const openFiles of [1_024, 20_000, 65_536]) {
      const connections = connectionsFor(work, { ...UNKNOWN, openFiles }) ?? NaN;
      // a line each, and a heartbeat under way for every twentieth
      expect(connections).toBeGreaterThanOrEqual(Math.floor(carried({ openFiles }) * 1.05));
      expect(connections).toBeLessThanOrEqual(openFiles - 200 - Math.min(2_000, openFiles / 5));
      const kept = connectionsFor({ ...work, freshEvery: 10 }, { ...UNKNOWN, openFiles }) ?? NaN;
      expect(kept).toBeGreaterThanOrEqual(2 * carried({ openFiles }, { freshEvery: 10 }));
    }
    expect(connectionsFor(work, UNKNOWN)).toBeNull();
  });

  it('is bound by the connections that the firewall tracks: the line, and two in TIME_WAIT for 120 s', () => {
    expect(carried({ trackedConnections: 49_000 })).toBe(1_000);
    expect(carried({ trackedConnections: 49_000, trackedTimeWaitMs: 10_000 })).toBe(9_800);
    expect(carried({ trackedConnections: 49_000 }, { intervalMs: 15_000 })).toBe(2_882);
  });

  it('is larger if fewer heartbeats open a connection, though two are kept', () => {
    // 1 line + 2 kept + 48 / 10
    expect(carried({ trackedConnections: 78_000 }, { freshEvery: 10 })).toBe(10_000);
    expect(carried({ openFiles: 20_000 }, { freshEvery: 10 })).toBeLessThan(carried({ openFiles: 20_000 }));
  });

  it('is bound by ports and TIME_WAIT only if the instances are on this host, too', () => {
    const local = { isLocal: true };
    expect(carried({ localPorts: 13_000 }, local)).toBe(1_000);
    expect(carried({ localPorts: 12_000, reusesTimeWaits: true }, local)).toBe(10_000);
    expect(carried({ timeWaits: 24_000 }, local)).toBe(1_000);
    expect(capacityOf(work, { ...UNKNOWN, localPorts: 13_000, timeWaits: 24_000 })).toBeNull();
  });

  it('is bound by the accept queue, for which the registry requests 4096', () => {
    expect(carried({ acceptQueue: 128 })).toBe(6_400);
    expect(carried({ acceptQueue: 65_535 })).toBe(carried({ acceptQueue: 4_096 }));
  });

  it('names the resource that is used up first', () => {
    const facts = { ...UNKNOWN, openFiles: 20_000, trackedConnections: 49_000 };
    expect(capacityOf(work, facts)).toEqual({
      instances: 1_000,
      boundBy: '49,000 connections in the table of the firewall (nf_conntrack_max)',
    });
  });
});

describe('a configured load that the host cannot carry', () => {
  it('is reported with the need, the limit, the capacity and the remedy', () => {
    expect(shortfalls(load(50_000, 62_500), work, { ...UNKNOWN, openFiles: 20_000 })).toEqual([
      '50,000 instances and 62,500 watchers need 67,700 open files and may have 20,000: enough for 16,476 instances. ' +
        'Beyond it connections are not accepted: raise the limit (ulimit -n, LimitNOFILE= of systemd). See docs/SIZING.md.',
    ]);
  });

  it('is reported for each budget', () => {
    const facts = { ...UNKNOWN, openFiles: 1_024, trackedConnections: 4_096, acceptQueue: 128 };
    expect(shortfalls(load(20_000), work, facts)).toHaveLength(3);
  });

  it('is not reported if the load fits exactly', () => {
    const facts = { ...UNKNOWN, trackedConnections: 49_000 };
    expect(shortfalls(load(1_000), work, facts)).toEqual([]);
    expect(shortfalls(load(1_001), work, facts)).toHaveLength(1);
    expect(shortfalls(load(0), work, facts)).toEqual([]);
  });

  it('does not advise a longer queue than the registry requests', () => {
    const long = shortfalls(load(300_000), work, { ...UNKNOWN, acceptQueue: 4_096 });
    const short = shortfalls(load(300_000), work, { ...UNKNOWN, acceptQueue: 128 });
    expect([long[0], short[0]].map((text) => text?.includes('somaxconn'))).toEqual([false, true]);
  });
});

describe('the host watch', () => {
  const facts = { ...UNKNOWN, openFiles: 10_000, trackedConnections: 49_000 };

  function watch(first: Load | null) {
    const time = new ManualTime();
    const log = recordingLog();
    const now = { load: first };
    const watching = new HostWatch({ time, log, work, host: facts, load: () => now.load });
    return { time, log, now, watching };
  }

  it('is silent below 80 %, and warns once from there on', () => {
    const { time, log, now } = watch(load(799));
    time.advance(600_000);
    expect(log.lines).toEqual([]);
    now.load = load(800);
    time.advance(600_000);
    expect(log.texts('warn')).toEqual([
      expect.stringContaining('800 instances and 800 watchers use about 39,200 of 49,000 connections in the table'),
    ]);
  });

  it('warns of each budget separately, also for watchers only, and then stops', () => {
    const { time, log, now } = watch(load(900));
    time.advance(60_000);
    now.load = load(1, 9_000);
    time.advance(60_000);
    expect(log.texts('warn').map((text) => /(files|table)/.exec(text)?.[0])).toEqual(['table', 'files']);
    expect(time.pending()).toEqual({ foreground: 0, background: 0 });
  });

  it('waits while the load is not known', () => {
    const { time, log, now } = watch(null);
    time.advance(60_000);
    expect(log.lines).toEqual([]);
    now.load = load(900);
    time.advance(60_000);
    expect(log.lines).toHaveLength(1);
  });

  it('keeps no process alive, and stops when it is closed, even twice', () => {
    const { time, log, watching } = watch(load(900));
    expect(time.pending()).toEqual({ foreground: 0, background: 1 });
    watching.close();
    watching.close();
    expect(time.pending().background).toBe(0);
    time.advance(600_000);
    expect(log.lines).toEqual([]);
  });
});
