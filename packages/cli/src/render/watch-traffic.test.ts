import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Testbed } from '../testbed.fixture.js';

const SECRET = 'a-secret-of-132-bits-22';

describe('rollcall watch of one service', () => {
  let testbed: Testbed;

  beforeEach(async () => {
    testbed = await Testbed.start({ intervalMs: 60_000 });
    await testbed.register('orders-1e07', 'orders');
    await testbed.register('users-0b9e', 'users');
    await testbed.register('gateway-6f80', 'gateway', { secret: SECRET });
    const counts = { windowMs: 5_000, retries: 2, p50Ms: 3, inFlight: 0, window: 1 };
    const target = { instance: 'orders-1e07', calls: 10, failures: 1, p99Ms: 20, circuit: 'open' };
    const answer = await fetch(`${testbed.url}/api/v1/instances/gateway-6f80/heartbeat`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${SECRET}` },
      body: JSON.stringify({
        nonce: null,
        seq: 1,
        edges: [
          { service: 'orders', ...counts, calls: 10, failures: 1, p99Ms: 42, targets: [target] },
          { service: 'users', ...counts, calls: 5_000, failures: 0, p99Ms: 999 },
        ],
      }),
    });
    expect(answer.status).toBe(200);
  });
  afterEach(() => testbed.close());

  it('shows the calls to it and from it, and no others', async () => {
    const shell = testbed.runInBackground(['watch', 'orders'], { height: 30, width: 110 });
    const picture = await shell.line(/gateway → orders/);
    expect(picture).toMatch(/gateway → orders +2\.0\/s +success 90\.00 % +1 of 10 failed +p99 42 ms +circuit open/);
    expect(picture).toContain('calls 2.0/s  success 90.00 %');
    expect(picture).not.toContain('999 ms');
  });

  it('shows the callees of a caller', async () => {
    const shell = testbed.runInBackground(['watch', 'gateway'], { height: 30, width: 110 });
    const picture = await shell.line(/gateway → users/);
    expect(picture).toContain('gateway → orders');
    // it has no callers
    expect(picture).not.toMatch(/^calls /m);
  });

  it('prints its traffic as a line without a terminal', async () => {
    const shell = testbed.runInBackground(['watch', 'orders']);
    expect(await shell.line(/TRAFFIC/)).toMatch(
      /^\d\d:\d\d:\d\d {2}⇄ TRAFFIC +orders +2\.0\/s +success 90\.00 % +1 of 10 failed +p99 42 ms$/,
    );
  });

  it('prints its traffic as JSON', async () => {
    const shell = testbed.runInBackground(['watch', 'orders', '--json']);
    expect(JSON.parse(await shell.line(/"change":"traffic"/))).toMatchObject({
      change: 'traffic',
      namespace: 'default',
      service: 'orders',
      callsPerSecond: 2,
      calls: 10,
      failures: 1,
      p99Ms: 42,
      edges: [{ from: 'gateway', to: 'orders', calls: 10 }],
    });
  });
});
