import type { Instance, ReasonCode, State } from '@rollcall/core';
import { reasonFor } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import type { Heartbeats } from '../registry/heartbeats.js';
import { clockText } from '../terminal/texts.js';
import { renderTable } from './instance-table.js';
import type { Screen, View } from './instance-table.js';
import { renderChange, renderView } from './view.js';

const NOW = new Date(2026, 8, 21, 14, 2, 23).getTime();
const SCREEN: Screen = { now: NOW, width: 100, rows: 50, isColoured: false, isUnicode: true };

interface InstanceFields {
  readonly id: string;
  readonly state?: State;
  readonly code?: ReasonCode;
  readonly detail?: string;
  readonly ageMs?: number;
  readonly next?: Instance['next'];
}

function instance({
  id,
  state = 'HEALTHY',
  code = 'BOTH_WAYS_OK',
  detail,
  ageMs = 41_000,
  next = null,
}: InstanceFields): Instance {
  return {
    id,
    service: id.split('-')[0] ?? id,
    namespace: 'default',
    endpoints: [{ protocol: 'tcp', host: '10.0.0.5', port: 3001, tls: false }],
    version: '',
    zone: '',
    weight: 100,
    metadata: {},
    state,
    reason: reasonFor(code, detail),
    since: NOW - ageMs,
    next,
    admin: 'ENABLED',
    source: 'native',
    registeredAt: NOW - ageMs,
    revision: 1,
  };
}

function viewOf(instances: readonly Instance[], overrides: Partial<View> = {}): View {
  return {
    url: 'http://10.0.0.2:1337',
    isLive: true,
    lastMessageAt: NOW,
    revision: 48_213,
    instances,
    heartbeats: new Map(),
    ...overrides,
  };
}

const dead = instance({
  id: 'payments-0007d20',
  state: 'CRITICAL',
  code: 'PROOF_OF_DEATH',
  detail: 'connect ECONNREFUSED 10.0.2.14:50051',
  ageMs: 3_000,
  next: { state: 'DEREGISTERING', afterMs: 5_000, unless: 'HEARTBEAT_2' },
});
const refused = instance({
  id: 'orders-0001e07',
  state: 'UNHEALTHY',
  code: 'INBOUND_REFUSED',
  detail: 'connect ECONNREFUSED 10.0.3.21:3001',
  ageMs: 7_000,
  next: { state: 'CRITICAL', afterMs: 12_000, unless: 'HEARTBEAT_1' },
});
const starting = instance({
  id: 'search-000c41a',
  state: 'REGISTERING',
  code: 'NEW',
  ageMs: 3_000,
  next: { state: 'CRITICAL', afterMs: 30_000, unless: 'PROOF' },
});
const leaving = instance({ id: 'mailer-0000b9e', state: 'DEREGISTERING', code: 'LEAVING', ageMs: 9_000 });
const healthy = ['gateway-00001', 'gateway-00002', 'users-00003'].map((id) => instance({ id }));

function beats(
  heartbeat1: Partial<Heartbeats['heartbeat1']>,
  heartbeat2: Partial<Heartbeats['heartbeat2']>,
): Heartbeats {
  const fine = { lastSuccessAgoMs: 1_000, roundTripMs: null, misses: 0, error: null };
  return { heartbeat1: { ...fine, ...heartbeat1 }, heartbeat2: { ...fine, ...heartbeat2 }, requestedAt: NOW - 1_000 };
}

const tableAt = (width: number): string => renderTable(viewOf([refused]), { ...SCREEN, width }).join('\n');
const last = (view: View, width = 100): string | undefined => renderView(view, { ...SCREEN, width }).at(-1);
const verdict = (view: View): string | undefined => renderView(view, SCREEN)[1];
const shape = (code: ReasonCode, heartbeats: View['heartbeats'] = new Map()): string | undefined =>
  renderTable(viewOf([instance({ id: 'orders-1', state: 'UNHEALTHY', code })], { heartbeats }), SCREEN)[1]?.charAt(0);

describe('the whole picture', () => {
  it('shows state, reason, since and next, worst first', () => {
    const heartbeats = new Map([
      ['orders-0001e07', beats({ error: 'connect ECONNREFUSED 10.0.3.21:3001', misses: 2 }, {})],
      ['search-000c41a', beats({ roundTripMs: 1.93 }, { lastSuccessAgoMs: null })],
    ]);
    const lines = renderView(viewOf([...healthy, leaving, starting, refused, dead], { heartbeats }), {
      ...SCREEN,
      rows: 4,
    });
    expect(lines).toEqual([
      'rollcall  http://10.0.0.2:1337  Live  revision 48,213                                       14:02:23',
      'No instance of payments may be called: 1 CRITICAL. 2 of 6 services need attention.',
      '  STATE          CALLABLE  INSTANCE       →1       ←2        SINCE  WHY / NEXT',
      '▲ CRITICAL       no        payments…7d20  refused  ended       3 s  Dead: its line closed and its a…',
      '                 ECONNREFUSED 10.0.2.14:50051      DEREGISTERING in 2 s unless it sends Heartbeat-2.',
      '◒ UNHEALTHY      yes       orders…1e07    refused  2 s ago     7 s  It cannot be reached.',
      '                 ECONNREFUSED 10.0.3.21:3001          CRITICAL in 5 s unless it answers Heartbeat-1.',
      '◌ REGISTERING    yes       search…c41a    1.9 ms   due         3 s  Registered; not yet proved both…',
      '                                                          HEALTHY once proved, it has 27 s for that.',
      '⇥ DEREGISTERING  no        mailer…0b9e    –        –           9 s  It said goodbye and finishes wh…',
      '● HEALTHY        3 of 7    callable: mailer 0 of 1 · payments 0 of 1 · orders 1 of 1 · … and 3 more',
      '→1 the registry calls  ←2 it calls',
    ]);
  });

  it('never exceeds the width of the screen', () => {
    const view = viewOf([...healthy, leaving, starting, refused, dead]);
    for (let width = 20; width < 140; width += 1) {
      for (const line of renderView(view, { ...SCREEN, width })) expect(line.length).toBeLessThanOrEqual(width);
    }
  });

  it('drops the heartbeats first, then the evidence, when it is narrow', () => {
    expect(tableAt(100)).toContain('→1');
    expect(tableAt(99)).not.toContain('→1');
    expect(tableAt(99)).toContain('ECONNREFUSED');
    expect(tableAt(79)).not.toContain('ECONNREFUSED');
    expect(tableAt(79)).toContain('CRITICAL in 5 s');
  });
});

describe('the summary of calls', () => {
  const calls = { perSecond: 1_960.4, calls: 9_802, failures: 0, retries: 31, p99Ms: 42 };

  it('stands below the table, beside the legend of the arrows', () => {
    expect(last(viewOf(healthy, { calls }))).toBe(
      'calls 1,960/s  success 100.00 %  went elsewhere 31  p99 42 ms     →1 the registry calls  ←2 it calls',
    );
    expect(last(viewOf(healthy, { calls }), 99)).toBe('calls 1,960/s  success 100.00 %  went elsewhere 31  p99 42 ms');
    expect(last(viewOf(healthy, { calls: { ...calls, failures: 1 } }))).toContain('success 99.98 %');
  });

  it('reports whether callers of those that need attention are affected', () => {
    expect(verdict(viewOf([...healthy, refused], { calls }))).toBe(
      '1 of 3 services needs attention. No caller is affected: 31 calls went elsewhere, 0 failed.',
    );
    expect(verdict(viewOf([...healthy, dead], { calls: { ...calls, failures: 7 } }))).toBe(
      'No instance of payments may be called: 1 CRITICAL. Callers are affected: 7 of 9,802 calls failed.',
    );
    expect(verdict(viewOf(healthy, { calls }))).not.toContain('caller');
  });

  const edges = [
    { from: 'gateway', to: 'a', calls: 100, failures: 100 },
    { from: 'gateway', to: 'b', calls: 20, failures: 1 },
    { from: 'gateway', to: 'c', calls: 50, failures: 0 },
  ].map((edge) => ({
    ...edge,
    namespace: 'default',
    perSecond: 20,
    retries: 0,
    p99Ms: null,
    inFlight: 0,
    ageMs: 900,
    targets: [],
  }));

  it('comes first if calls of the shown service fail, although its instances are well', () => {
    expect(renderView(viewOf(healthy, { edges }), { ...SCREEN, width: 120 })[1]).toBe(
      'Calls fail: gateway → a 100 of 100, gateway → b 1 of 20. No service needs attention: 3 of 3 are callable.',
    );
    expect(verdict(viewOf([...healthy, refused], { edges }))).toBe(
      '1 of 3 services needs attention. Calls fail: gateway → a 100 of 100, gateway → b 1 of 20.',
    );
    expect(verdict(viewOf(healthy, { calls: { ...calls, failures: 7 } }))).toBe(
      'Calls fail: 7 of 9,802. No service needs attention: 3 of 3 are callable.',
    );
    expect(verdict(viewOf(healthy, { edges, isLive: false }))).not.toContain('fail');
  });

  it('precedes the state of namespaces that are not shown', () => {
    const others = 'Only namespace default; 11 services in trouble in 3 others: -A';
    expect(last(viewOf(healthy, { otherNamespaces: others }))).toBe(others);
    expect(renderView(viewOf(healthy, { otherNamespaces: others, isLive: false }), SCREEN)).not.toContain(others);
  });

  it('disappears from an old view', () => {
    const old = viewOf([...healthy, dead], { calls, isLive: false, lastMessageAt: NOW - 12_000 });
    expect(renderView(old, SCREEN).join('\n')).not.toMatch(/calls 1,960|caller/);
  });
});

describe('a view', () => {
  const heartbeats = new Map([
    ['orders-0001e07', beats({ error: 'connect ECONNREFUSED 10.0.3.21:3001', misses: 2 }, {})],
  ]);
  const calls = { perSecond: 12.5, calls: 62, failures: 0, retries: 3, p99Ms: 42 };
  const view = viewOf([...healthy, starting, refused], { heartbeats, calls });
  const picture = (overrides: Partial<Screen>): readonly string[] =>
    renderView(view, { ...SCREEN, rows: 3, ...overrides });

  it('fits 140 columns', () => {
    expect(picture({ width: 140 })).toEqual([
      'rollcall  http://10.0.0.2:1337  Live  revision 48,213                                       14:02:23',
      '1 of 4 services needs attention. No caller is affected: 3 calls went elsewhere, 0 failed.',
      '  STATE          CALLABLE  INSTANCE       →1       ←2        SINCE  WHY / NEXT',
      '◒ UNHEALTHY      yes       orders…1e07    refused  2 s ago     7 s  It cannot be reached.',
      '                 ECONNREFUSED 10.0.3.21:3001                        CRITICAL in 5 s unless it answers Heartbeat-1.',
      '◌ REGISTERING    yes       search…c41a    –        –           3 s  Registered; not yet proved both ways.',
      '                                                                    HEALTHY once proved, it has 27 s for that.',
      '● HEALTHY        3 of 5    callable: orders 1 of 1 · search 1 of 1 · gateway 2 of 2 · users 1 of 1',
      'calls 13/s  success 100.00 %  went elsewhere 3  p99 42 ms         →1 the registry calls  ←2 it calls',
    ]);
  });

  it('fits 80 columns, without the heartbeats', () => {
    expect(picture({ width: 80 })).toEqual([
      'rollcall  http://10.0.0.2:1337  Live  revision 48,213                   14:02:23',
      '1 of 4 services needs attention. No caller is affected: 3 calls went elsewhere,…',
      '  STATE          CALLABLE  INSTANCE       SINCE  WHY / NEXT',
      '◒ UNHEALTHY      yes       orders…1e07      7 s  It cannot be reached.',
      '                 ECONNREFUSED 10.0.3.21:3001  CRITICAL in 5 s unless it answers…',
      '◌ REGISTERING    yes       search…c41a      3 s  Registered; not yet proved bot…',
      '                                      HEALTHY once proved, it has 27 s for that.',
      '● HEALTHY        3 of 5    callable: orders 1 of 1 · … and 3 more',
      'calls 13/s  success 100.00 %  went elsewhere 3  p99 42 ms',
    ]);
  });

  it('falls back to ASCII', () => {
    expect(picture({ isUnicode: false }).slice(2, 4)).toEqual([
      '  STATE          CALLABLE  INSTANCE       >1       <2        SINCE  WHY / NEXT',
      'v UNHEALTHY      yes       orders~1e07    refused  2 s ago     7 s  It cannot be reached.',
    ]);
  });
});

describe('the verdict', () => {
  it('counts services, and only UNHEALTHY and CRITICAL ask for attention', () => {
    expect(verdict(viewOf([...healthy, refused]))).toBe('1 of 3 services needs attention.');
    expect(verdict(viewOf([...healthy, starting, leaving]))).toBe(
      'No service needs attention: 4 of 5 are callable. 2 on the way, nothing to do.',
    );
    expect(verdict(viewOf(healthy))).toBe('No service needs attention: 3 of 3 are callable.');
  });

  it('explains the next step if nothing is registered', () => {
    expect(verdict(viewOf([]))).toContain('RollcallModule.forRoot');
    expect(verdict(viewOf([], { isLive: false, lastMessageAt: null }))).toBe('Waiting for the registry.');
  });
});

describe('an old view', () => {
  const old = viewOf([refused, ...healthy], { isLive: false, lastMessageAt: NOW - 12_000 });

  it('shows its age and uses the past tense', () => {
    const lines = renderView(old, SCREEN);
    expect(lines[0]).toContain('Stale 12 s');
    expect(lines[1]).toBe('1 of 3 services needed attention at 14:02:11.');
    expect(lines[2]).toContain('Services go on with their own copy');
  });

  it('shows the time of day instead of a countdown', () => {
    const text = renderTable(old, SCREEN).join('\n');
    expect(text).toContain('unknown after 14:02:11');
    expect(text).toContain(clockText(refused.since));
    expect(text).not.toContain('CRITICAL in');
  });

  it('shows a reconnection at first', () => {
    const silent = renderView({ ...old, isSilent: true, lastMessageAt: NOW - 13_000 }, { ...SCREEN, width: 120 });
    expect(silent[0]).toContain('No message for 13 s');
    expect(silent[2]).toContain('is its process stopped? Try `rollcall doctor`.');
    expect(renderView({ ...old, lastMessageAt: NOW - 2_000 }, SCREEN)[0]).toContain('Reconnecting');
  });
});

describe('the disc', () => {
  it('fills the half whose heartbeat works: above Heartbeat-1, below Heartbeat-2', () => {
    expect(shape('INBOUND_SILENT')).toBe('◒');
    expect(shape('OUTBOUND_SILENT')).toBe('◓');
    expect(shape('SILENT')).toBe('⊖');
  });

  it('depends on the reason alone, as on the dashboard: measurements change faster than the state', () => {
    expect(shape('PRESERVED')).toBe('⊖');
    expect(shape('PRESERVED', new Map([['orders-1', beats({ misses: 3 }, {})]]))).toBe('⊖');
  });
});

describe('a terminal', () => {
  it('gets ASCII only without UTF-8, and all five states still differ', () => {
    const view = viewOf([...healthy, leaving, starting, refused, dead]);
    const lines = renderView(view, { ...SCREEN, isUnicode: false });
    expect(lines.join('\n')).toMatch(/^[\n\x20-\x7e]*$/);
    expect(new Set(lines.slice(3).flatMap((line) => /^(\S) [A-Z]+ /.exec(line)?.[1] ?? [])).size).toBe(5);
  });

  it('gets colours for problems, with the same text', () => {
    const view = viewOf([...healthy, refused]);
    const coloured = renderView(view, { ...SCREEN, isColoured: true }).join('\n');
    // eslint-disable-next-line no-control-regex
    expect(coloured.replaceAll(/\u001b\[[\d;]*m/g, '')).toBe(renderView(view, SCREEN).join('\n'));
    expect(coloured).toContain('\u001b[1;38;5;130mUNHEALTHY\u001b[0m');
    expect(coloured).toContain('\u001b[38;5;28m●\u001b[0m HEALTHY');
  });
});

describe('one line per change', () => {
  it('shows time, state, name and reason', () => {
    const change = { name: 'orders…1e07', state: 'UNHEALTHY', text: 'it cannot be reached' } as const;
    expect(renderChange(change, SCREEN)).toBe('14:02:23  ⊖ UNHEALTHY      orders…1e07       it cannot be reached');
    expect(renderChange({ ...change, state: 'REMOVED', text: 'it left' }, SCREEN)).toContain('× REMOVED');
  });
});
