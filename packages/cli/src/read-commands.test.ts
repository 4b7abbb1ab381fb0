import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dot, mermaid } from './commands/graph.js';
import { edgesIn } from './registry/traffic.js';
import { run } from './run.js';
import { createTestShell } from './terminal/shell.fixture.js';
import { Testbed } from './testbed.fixture.js';

/** The secret of an instance that calls `orders`. */
const SECRET = 'a-secret-of-132-bits-22';

let testbed: Testbed;
beforeAll(async () => {
  testbed = await Testbed.start({ intervalMs: 60_000 });
  await testbed.register('orders-1e07', 'orders', { version: '1.4.2', zone: 'a', metadata: { pid: '17' } });
  await testbed.register('gateway-1', 'gateway', { secret: SECRET });
  const target = { instance: 'orders-1e07', calls: 5, failures: 1, p99Ms: 20, circuit: 'open' };
  const counts = { windowMs: 5_000, calls: 10, failures: 0, retries: 2, p50Ms: 3, p99Ms: 42, inFlight: 0, window: 1 };
  const beat = await fetch(`${testbed.url}/api/v1/instances/gateway-1/heartbeat`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${SECRET}` },
    body: JSON.stringify({ nonce: null, seq: 1, edges: [{ service: 'orders', ...counts, targets: [target] }] }),
  });
  expect(beat.status).toBe(200);
});
afterAll(() => testbed.close());

describe('rollcall show', () => {
  it('prints state, reason, since and next, draws both heartbeats, and lists facts, callers and history', async () => {
    const { code, out } = await testbed.run('show', 'orders…1e07');
    expect(code).toBe(0);
    const lines = out.split('\n');
    expect(lines[0]).toMatch(/^◌ orders…1e07 {2}REGISTERING {2}for \d+ s$/);
    expect(lines[1]).toMatch(
      /^Registered; not yet proved both ways\. HEALTHY once proved, it has \d+ (s|min) for that\.$/,
    );
    expect(out).toMatch(/registry •.{12}▌ orders…1e07 {3}Heartbeat-1/);
    expect(out).toMatch(/registry ▐.{12}• orders…1e07 {3}Heartbeat-2 {2}due/);
    expect(out).toMatch(
      /Facts\n {2}id +orders-1e07\n {2}namespace +default\n {2}address +tcp:\/\/127\.0\.0\.1:9\n {2}version +1\.4\.2\n/,
    );
    expect(out).toMatch(/Callers\n {2}gateway +1\.0\/s +success 80\.00 % +p99 20 ms +circuit open at 1\n/);
    expect(out).toMatch(/Timeline\n {2}\d\d:\d\d:\d\d +REGISTERING +registered/);
  });

  it('prints one object with -o json', async () => {
    expect(JSON.parse((await testbed.run('show', '1e07', '-o', 'json')).out)).toMatchObject({
      id: 'orders-1e07',
      instance: { service: 'orders', heartbeats: { heartbeat2: { lastSuccessAgoMs: null } } },
      callers: [{ service: 'gateway', callsPerSecond: 1, failures: 1, p99Ms: 20, circuitsOpen: 1 }],
      events: [{ kind: 'registered' }],
    });
  });

  it('prints ASCII where there is no UTF-8', async () => {
    const { out } = await testbed.runOnTerminal({ isUnicode: false }, 'show', '1e07');
    expect(out).toMatch(/^[\n\x20-\x7e]*$/);
    expect(out).toContain(': orders~1e07  REGISTERING');
  });

  it.each([
    [['show'], 2, 'rollcall show <id>'],
    [['show', 'unknown'], 1, 'There is no instance "unknown"'],
    [['show', '1e07', '-o', 'yaml'], 2, '--output'],
    [['show', '1e07', '--url', 'http://127.0.0.1:1'], 3, 'No registry answers'],
  ])('exits %j with %i', async (argv, code, why) => {
    expect(await testbed.run(...argv)).toEqual({ code, out: '', err: expect.stringContaining(why) });
  });
});

describe('rollcall events', () => {
  it('prints time, kind, instance and text, the newest last', async () => {
    const { code, out } = await testbed.run('events', '--service', 'orders', '--kind', 'registered');
    expect({ code, out }).toEqual({
      code: 0,
      out: expect.stringMatching(/^\d\d:\d\d:\d\d {2}registered +orders…1e07 +registered$/),
    });
  });

  it('prints one line for each event with -o json, as many as --limit', async () => {
    const { out } = await testbed.run('events', '-o', 'json', '--limit', '2');
    const events = out.split('\n').map((line) => JSON.parse(line) as { seq: number });
    expect(events).toHaveLength(2);
    expect(events[1]?.seq).toBe((events[0]?.seq ?? 0) + 1);
  });

  it('stays with -f, and prints an operator’s action with its reason', async () => {
    const shell = createTestShell({ ROLLCALL_URL: testbed.url });
    const code = run(['events', '-f', '--kind', 'admin'], shell);
    await testbed.run('drain', '1e07', '--reason', 'new disk');
    expect(await shell.line(/admin/)).toMatch(/admin +orders…1e07 +drained by an operator \(new disk\)/);
    shell.end();
    expect(await code).toBe(0);
    await testbed.run('undrain', '1e07');
  });

  it('reports if no such event exists', async () => {
    expect(await testbed.run('events', '--kind', 'circuit', '--service', 'users')).toEqual({
      code: 0,
      out: '',
      err: 'Nothing of that kind has happened.',
    });
  });

  it.each([
    [['events', 'orders'], 2, 'Received "orders"'],
    [['events', '--kind', 'party'], 2, '--kind'],
    [['events', '--url', 'http://127.0.0.1:1'], 3, 'No registry answers'],
  ])('exits %j with %i', async (argv, code, why) => {
    expect(await testbed.run(...argv)).toEqual({ code, out: '', err: expect.stringContaining(why) });
  });
});

describe('rollcall graph', () => {
  it('prints a table of all services, or of the calls to and from one', async () => {
    const { code, out } = await testbed.run('graph');
    expect(code).toBe(0);
    expect(out.split('\n')).toEqual([
      'CALLER   CALLED  CALLS  SUCCESS   FAILED   ELSEWHERE  P99    CIRCUIT',
      'gateway  orders  2.0/s  100.00 %  0 of 10  2          42 ms  open to 1 of 1',
    ]);
    for (const service of ['gateway', 'orders']) expect((await testbed.run('graph', service)).out).toBe(out);
    expect(await testbed.run('graph', 'ordres')).toMatchObject({
      code: 1,
      out: '',
      err: expect.stringContaining('Did you mean orders?'),
    });
    expect(await testbed.run('graph', 'a', 'b')).toMatchObject({ code: 2 });
  });

  it('prints a flowchart with --format mermaid, dashed where a circuit is open', async () => {
    const { code, out } = await testbed.run('graph', 'orders', '--format', 'mermaid');
    expect(code).toBe(0);
    expect(out.split('\n')).toEqual([
      'flowchart LR',
      '  n0["gateway"]',
      '  n1["orders"]',
      '  n0 -.->|"2.0/s 100.00 % p99 42 ms"| n1',
    ]);
  });

  it('prints Graphviz with --format dot, and plain data with json', async () => {
    const { out } = await testbed.run('graph', '--format', 'dot');
    expect(out).toContain('  "gateway" -> "orders" [label="2.0/s 100.00 % p99 42 ms", style=dashed];');
    const json = JSON.parse((await testbed.run('graph', '--format', 'json')).out) as unknown;
    expect(json).toMatchObject({ edges: [{ from: 'gateway', to: 'orders', perSecond: 2, retries: 2 }] });
  });

  it('escapes the names of a foreign registry', () => {
    const edges = edgesIn({ edges: [{ from: 'a"]\n', to: 'b', calls: 1, callsPerSecond: 1 }] });
    expect(mermaid(edges)).toContain('n0["a?]?"]');
    expect(dot(edges)).toContain('"a?]?" -> "b"');
  });

  it('prints the reason if there are no calls', async () => {
    const withoutCalls = await Testbed.start();
    expect(await withoutCalls.run('graph')).toEqual({
      code: 0,
      out: '',
      err: expect.stringContaining('No caller has reported a call'),
    });
    await withoutCalls.close();
  });
});
