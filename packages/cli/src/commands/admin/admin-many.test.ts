import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Testbed } from '../../testbed.fixture.js';

/** A terminal on which this is typed. */
const terminalAnswering = (answer: string) => ({ answer });

describe('an action on several instances', () => {
  let testbed: Testbed;

  beforeAll(async () => {
    testbed = await Testbed.start({ intervalMs: 60_000 });
    await testbed.register('stock-a', 'stock', { version: '1.5.5', zone: 'eu-1' });
    await testbed.register('stock-b', 'stock', { version: '1.5.5', zone: 'eu-2' });
    await testbed.register('stock-c', 'stock', { version: '1.6.0' });
    await testbed.register('users-1', 'users');
  });
  afterAll(() => testbed.close());
  beforeEach(async () => {
    await testbed.run('undrain', '--service', 'stock');
    await testbed.run('undrain', 'users-1');
  });

  async function instance(id: string) {
    const answer = await fetch(`${testbed.url}/api/v1/instances/${id}`);
    return (await answer.json()) as { admin: string; weight: number };
  }
  const adminOf = async (id: string) => (await instance(id)).admin;
  /** Makes `gateway-1` report this number of calls of a service. */
  async function reportCalls(service: string, calls: number): Promise<void> {
    const secret = 'Zm9yLXRoZS1wYWdlLW9ubHk';
    await testbed.register('gateway-1', 'gateway', { secret });
    const edge = { service, windowMs: 5_000, calls, failures: 0, retries: 0, p50Ms: 1, p99Ms: 2, inFlight: 0 };
    const answer = await fetch(`${testbed.url}/api/v1/instances/gateway-1/heartbeat`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${secret}` },
      body: JSON.stringify({ nonce: null, seq: 1, edges: [edge] }),
    });
    if (!answer.ok) throw new Error(await answer.text());
  }

  describe('on a terminal', () => {
    it('lists the instances that --service chose, and acts after a yes', async () => {
      const { code, out, err } = await testbed.runOnTerminal(
        terminalAnswering('y'),
        'drain',
        '--service',
        'stock',
        '--version',
        '1.5.5',
      );
      expect(code).toBe(0);
      expect(err).toMatch(/^To drain: 2 instances\n {2}stock…ck-a {2}REGISTERING {2}1\.5\.5 {2}eu-1\n {2}stock…ck-b/);
      expect(err).toMatch(/Continue\? \[y\/N\] $/);
      expect(out).toContain('1 of 3 instances of stock may be called.');
      expect(await adminOf('stock-b')).toBe('DRAINING');
    });

    it.each(['', 'n', 'yep'])('changes nothing for %j', async (answer) => {
      const { code, out, err } = await testbed.runOnTerminal(
        terminalAnswering(answer),
        'drain',
        '--service',
        'stock',
        '--zone',
        'eu-1',
      );
      expect({ code, out }).toEqual({ code: 1, out: '' });
      expect(err).toMatch(/Continue\? \[y\/N\] \nNothing was changed\.$/);
      expect(await adminOf('stock-a')).toBe('ENABLED');
    });

    it('asks before the last callable instance is drained, and names its callers', async () => {
      await reportCalls('users', 230);
      const { code, err } = await testbed.runOnTerminal(terminalAnswering('n'), 'drain', 'users-1');
      expect(code).toBe(1);
      expect(err).toMatch(/^After this no instance of users may be called, .*; gateway calls it \(46\/s\)\.\nContinue/);
      expect(await adminOf('users-1')).toBe('ENABLED');
      expect((await testbed.runOnTerminal(terminalAnswering('n'), 'maintenance', 'users-1')).code).toBe(1);
      expect((await testbed.runOnTerminal(terminalAnswering('n'), 'rm', 'users-1')).code).toBe(1);
      expect((await testbed.runOnTerminal(terminalAnswering('yes'), 'drain', 'users-1')).code).toBe(0);
      expect(await adminOf('users-1')).toBe('DRAINING');
    });

    it('does not ask with --yes, nor for typed instances while others stay callable', async () => {
      const last = await testbed.runOnTerminal(terminalAnswering('n'), 'drain', '--service', 'stock', '--yes');
      expect(last.code).toBe(0);
      expect(last.err).toMatch(/^After this no instance of stock may be called[^\n]*$/);
      await testbed.run('undrain', '--service', 'stock');
      const two = await testbed.runOnTerminal(terminalAnswering('n'), 'drain', 'stock-a', 'stock-b');
      expect(two).toMatchObject({ code: 0, err: '' });
    });
  });

  it('runs without a question and with a warning if there is no terminal', async () => {
    const { code, err } = await testbed.run('drain', 'users-1');
    expect(code).toBe(0);
    expect(err).toContain('After this no instance of users may be called');
    expect(err).not.toContain('Continue?');
    // it was out before: nothing is taken away
    const again = await testbed.run('drain', 'users-1');
    expect(again.err).toBe('No instance of users may be called now: every call to it fails until one is.');
  });

  it('sets the weight of several', async () => {
    const { code, out } = await testbed.run('weight', 'stock-a', 'stock-b', '10', '--reason', 'canary');
    expect({ code, lines: out.split('\n') }).toEqual({
      code: 0,
      lines: ['stock…ck-a has the weight 10.', 'stock…ck-b has the weight 10.'],
    });
    expect((await testbed.run('weight', '--service', 'stock', '--version', '1.5.5', 'own')).code).toBe(0);
    expect((await instance('stock-a')).weight).toBe(100);
    expect(await testbed.run('weight', '--service', 'stock')).toMatchObject({ code: 2 });
  });

  it('names each instance once, and changes nothing if one of them does not exist', async () => {
    const twice = await testbed.run('drain', 'stock-a', 'stock-a');
    expect(twice.out.match(/is DRAINING/g)).toHaveLength(1);
    expect(await testbed.run('drain', 'stock-b', 'stock-x')).toMatchObject({ code: 1, out: '' });
    expect(await adminOf('stock-b')).toBe('ENABLED');
  });

  it('continues after an instance that is refused, and names it', async () => {
    const secret = 'Zm9yLXRoZS1wYWdlLW9ubHk';
    await testbed.register('leaving-1', 'leaving', { secret });
    await testbed.register('leaving-2', 'leaving');
    const drained = await fetch(`${testbed.url}/api/v1/instances/leaving-1/drain`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${secret}` },
      body: '{}',
    });
    expect(drained.ok).toBe(true);
    const { code, out, err } = await testbed.run('drain', 'leaving-1', 'leaving-2');
    expect(code).toBe(1);
    expect(out).toContain('leaving…ng-2 is DRAINING');
    expect(err).toMatch(/leaving…ng-1: .*is leaving/);
    expect(err).toContain('1 of 2 not changed: leaving…ng-1.');
  });
});
