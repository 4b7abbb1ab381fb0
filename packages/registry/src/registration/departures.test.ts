import { describe, expect, it } from 'vitest';
import { codeOf, SECOND, SECRET, value, RegistryFixture } from '../registry.fixture.js';
import { Bench } from '../store/disk/disk.fixture.js';

const OPERATOR = { operator: true } as const;
const OWNER = { secret: SECRET };

/** Registries on a disk whose failures the test controls. */
class DiskFixture {
  readonly bench = new Bench();
  readonly disk = this.bench.disk;

  async start(): Promise<RegistryFixture> {
    const fixture = new RegistryFixture({ store: this.bench.store() });
    const starting = fixture.registry.start();
    // a lock that a loss of power has emptied is watched for a while
    await this.bench.time.advanceBy(4 * SECOND);
    await starting;
    return fixture;
  }

  /** Starts the next registry after a loss of power. */
  async restart(): Promise<RegistryFixture> {
    this.disk.end('power');
    return this.start();
  }

  /** Stops the disk after this many more operations. */
  hang(after = 0): void {
    this.disk.endsAt = this.disk.verbs + after;
  }
}

async function isSettled(fixture: RegistryFixture, promise: Promise<unknown>, ms = 0): Promise<boolean> {
  let isDone = false;
  void promise.then(() => (isDone = true));
  await fixture.time.advanceBy(ms);
  return isDone;
}

const ACTIONS = [
  {
    name: 'a goodbye',
    run: (fixture: RegistryFixture) => fixture.registry.leave('orders-1', OWNER),
    after: 'ENDED',
    before: 'HEALTHY',
  },
  {
    name: "an operator's removal",
    run: (fixture: RegistryFixture) => fixture.registry.leave('orders-1', OPERATOR, 'a reason'),
    after: 'ENDED',
    before: 'HEALTHY',
  },
  {
    name: 'a drain',
    run: (fixture: RegistryFixture) => fixture.registry.drain('orders-1', SECRET, {}),
    after: 'DEREGISTERING',
    before: 'HEALTHY',
  },
  {
    name: "an operator's patch",
    run: (fixture: RegistryFixture) =>
      fixture.registry.amend('orders-1', { admin: 'MAINTENANCE', weight: 7 }, OPERATOR),
    after: 'HEALTHY MAINTENANCE 7',
    before: 'HEALTHY',
  },
];

function stateOf(fixture: RegistryFixture): string {
  const found = fixture.registry.instance('orders-1');
  if (!found.ok) return found.problem.code;
  const { state, admin, weight } = found.value;
  return admin === 'ENABLED' ? state : `${state} ${admin} ${weight}`;
}

describe.each(ACTIONS)('$name', ({ run, before, after }) => {
  it('survives a loss of power once it is acknowledged', async () => {
    const disks = new DiskFixture();
    const fixture = await disks.start();
    await fixture.registerHealthy('orders-1', 3_001);
    expect(codeOf(await run(fixture))).toBe('ok');
    expect(stateOf(await disks.restart())).toBe(after);
  });

  it('is not acknowledged before it is synced', async () => {
    const disks = new DiskFixture();
    const fixture = await disks.start();
    await fixture.registerHealthy('orders-1', 3_001);
    // it is written, and the sync never ends
    disks.hang(1);
    expect(await isSettled(fixture, run(fixture), 500)).toBe(false);
    expect([before, after]).toContain(stateOf(await disks.restart()));
  });
});

describe('instances that leave', () => {
  it('share syncs, and delay no heartbeat', async () => {
    const disks = new DiskFixture();
    const fixture = await disks.start();
    const ids = Array.from({ length: 100 }, (_, index) => `orders-${index}`);
    for (const [index, id] of ids.entries()) value(await fixture.register(id, 3_000 + index));
    value(await fixture.register('staying', 2_000));
    await fixture.time.advanceBy(0);
    const before = disks.disk.verbs;
    const answers = Promise.all(ids.map((id) => fixture.registry.leave(id, OWNER)));
    expect(codeOf(fixture.beat('staying'))).toBe('ok');
    expect((await answers).map(codeOf)).toEqual(ids.map(() => 'ok'));
    // an append and a sync for all, and perhaps once more for what was under way
    expect(disks.disk.verbs - before).toBeLessThanOrEqual(4);
  });

  it('are off the list even if the disk refuses; that is reported, and stored as soon as possible', async () => {
    const disks = new DiskFixture();
    const fixture = await disks.start();
    await fixture.registerHealthy('orders-1', 3_001);
    disks.disk.refuse('ENOSPC');
    for (const ender of [OWNER, OWNER, OPERATOR]) {
      expect(await fixture.registry.leave('orders-1', ender)).toMatchObject({
        ok: false,
        problem: {
          code: 'NOT_READY',
          detail: expect.stringContaining('orders-1 is off the list'),
          fix: expect.stringContaining('by itself'),
          retryAfterMs: SECOND,
        },
      });
      expect(stateOf(fixture)).toBe('ENDED');
    }
    disks.disk.repair();
    await disks.bench.time.advanceBy(SECOND);
    await fixture.time.advanceBy(SECOND);
    expect(codeOf(await fixture.registry.leave('orders-1', OWNER))).toBe('ENDED');
    expect(stateOf(await disks.restart())).toBe('ENDED');
  });

  it('get UNAUTHORIZED and NOT_FOUND at once, even if the disk hangs', async () => {
    const disks = new DiskFixture();
    const fixture = await disks.start();
    value(await fixture.register('orders-1', 3_001));
    disks.hang();
    expect(codeOf(await fixture.registry.leave('orders-1', { secret: `${SECRET}x` }))).toBe('UNAUTHORIZED');
    expect(codeOf(await fixture.registry.leave('orders-2', OPERATOR))).toBe('NOT_FOUND');
    expect(codeOf(await fixture.registry.drain('orders-1', `${SECRET}x`, {}))).toBe('UNAUTHORIZED');
  });
});

describe('a drain', () => {
  it('takes effect if the disk refuses it, and reports that it is not stored', async () => {
    const disks = new DiskFixture();
    const fixture = await disks.start();
    await fixture.registerHealthy('orders-1', 3_001);
    fixture.openLine('orders-1');
    disks.disk.refuse('EIO');
    expect(value(await fixture.registry.drain('orders-1', SECRET, {}))).toEqual({ watchers: 1, stored: false });
    expect(stateOf(fixture)).toBe('DEREGISTERING');
    disks.disk.repair();
    await disks.bench.time.advanceBy(SECOND);
    await fixture.time.advanceBy(SECOND);
    expect(value(await fixture.registry.drain('orders-1', SECRET, {}))).toEqual({ watchers: 1 });
  });

  it('waits for a slow disk for a second, as its instance needs the number of watchers', async () => {
    const disks = new DiskFixture();
    const fixture = await disks.start();
    await fixture.registerHealthy('orders-1', 3_001);
    disks.hang();
    const draining = fixture.registry.drain('orders-1', SECRET, {});
    expect(await isSettled(fixture, draining, 999)).toBe(false);
    await fixture.time.advanceBy(1);
    expect(value(await draining)).toEqual({ watchers: 0, stored: false });
  });

  it('leaves no timer', async () => {
    const fixture = await RegistryFixture.start();
    value(await fixture.register('orders-1', 3_001));
    const before = fixture.time.pending().background;
    value(await fixture.registry.drain('orders-1', SECRET, {}));
    expect(fixture.time.pending().background).toBe(before);
  });
});
