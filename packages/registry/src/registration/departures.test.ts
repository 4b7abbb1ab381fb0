import { describe, expect, it } from 'vitest';
import { codeOf, SECOND, SECRET, value, World } from '../registry.fixture.js';
import { Bench } from '../store/disk/disk.fixture.js';

const OPERATOR = { operator: true } as const;
const OWNER = { secret: SECRET };

/** A registry on a disk of which a test decides what it takes, and what a later life finds there. */
class Place {
  readonly bench = new Bench();
  readonly disk = this.bench.disk;

  async start(): Promise<World> {
    const world = new World({ store: this.bench.store() });
    const starting = world.registry.start();
    // a lock of which the power left nothing is watched for a while
    await this.bench.time.advanceBy(4 * SECOND);
    await starting;
    return world;
  }

  /** After a loss of power. */
  async restart(): Promise<World> {
    this.disk.end('power');
    return this.start();
  }

  /** The disk answers nothing any more, from its next verb but so many on. */
  hang(after = 0): void {
    this.disk.endsAt = this.disk.verbs + after;
  }
}

async function isSettled(world: World, promise: Promise<unknown>, ms = 0): Promise<boolean> {
  let isDone = false;
  void promise.then(() => (isDone = true));
  await world.time.advanceBy(ms);
  return isDone;
}

const DEEDS = [
  {
    name: 'a goodbye',
    ask: (world: World) => world.registry.leave('orders-1', OWNER),
    after: 'ENDED',
    before: 'HEALTHY',
  },
  {
    name: "an operator's removal",
    ask: (world: World) => world.registry.leave('orders-1', OPERATOR, 'a reason'),
    after: 'ENDED',
    before: 'HEALTHY',
  },
  {
    name: 'a drain',
    ask: (world: World) => world.registry.drain('orders-1', SECRET, {}),
    after: 'DEREGISTERING',
    before: 'HEALTHY',
  },
  {
    name: "an operator's word",
    ask: (world: World) => world.registry.amend('orders-1', { admin: 'MAINTENANCE', weight: 7 }, OPERATOR),
    after: 'HEALTHY MAINTENANCE 7',
    before: 'HEALTHY',
  },
];

function seen(world: World): string {
  const found = world.registry.instance('orders-1');
  if (!found.ok) return found.problem.code;
  const { state, admin, weight } = found.value;
  return admin === 'ENABLED' ? state : `${state} ${admin} ${weight}`;
}

describe.each(DEEDS)('$name', ({ ask, before, after }) => {
  it('survives the loss of the power once it is acknowledged', async () => {
    const place = new Place();
    const world = await place.start();
    await world.healthy('orders-1', 3_001);
    expect(codeOf(await ask(world))).toBe('ok');
    expect(seen(await place.restart())).toBe(after);
  });

  it('is not acknowledged before it is synced', async () => {
    const place = new Place();
    const world = await place.start();
    await world.healthy('orders-1', 3_001);
    // it is written, and the sync never ends
    place.hang(1);
    expect(await isSettled(world, ask(world), 500)).toBe(false);
    expect([before, after]).toContain(seen(await place.restart()));
  });
});

describe('instances that leave', () => {
  it('share syncs, and nobody else waits', async () => {
    const place = new Place();
    const world = await place.start();
    const ids = Array.from({ length: 100 }, (_, index) => `orders-${index}`);
    for (const [index, id] of ids.entries()) value(await world.register(id, 3_000 + index));
    value(await world.register('staying', 2_000));
    await world.time.advanceBy(0);
    const before = place.disk.verbs;
    const answers = Promise.all(ids.map((id) => world.registry.leave(id, OWNER)));
    expect(codeOf(world.beat('staying'))).toBe('ok');
    expect((await answers).map(codeOf)).toEqual(ids.map(() => 'ok'));
    // an append and a sync for all, and perhaps once more for what was under way
    expect(place.disk.verbs - before).toBeLessThanOrEqual(4);
  });

  it('are off the list although the disk refuses, which is told; it is stored as soon as it can be', async () => {
    const place = new Place();
    const world = await place.start();
    await world.healthy('orders-1', 3_001);
    place.disk.refuse('ENOSPC');
    for (const ender of [OWNER, OWNER, OPERATOR]) {
      expect(await world.registry.leave('orders-1', ender)).toMatchObject({
        ok: false,
        problem: {
          code: 'NOT_READY',
          detail: expect.stringContaining('orders-1 is off the list'),
          fix: expect.stringContaining('by itself'),
          retryAfterMs: SECOND,
        },
      });
      expect(seen(world)).toBe('ENDED');
    }
    place.disk.repair();
    await place.bench.time.advanceBy(SECOND);
    await world.time.advanceBy(SECOND);
    expect(codeOf(await world.registry.leave('orders-1', OWNER))).toBe('ENDED');
    expect(seen(await place.restart())).toBe('ENDED');
  });

  it('are told UNAUTHORIZED and NOT_FOUND at once, whatever the disk does', async () => {
    const place = new Place();
    const world = await place.start();
    value(await world.register('orders-1', 3_001));
    place.hang();
    expect(codeOf(await world.registry.leave('orders-1', { secret: `${SECRET}x` }))).toBe('UNAUTHORIZED');
    expect(codeOf(await world.registry.leave('orders-2', OPERATOR))).toBe('NOT_FOUND');
    expect(codeOf(await world.registry.drain('orders-1', `${SECRET}x`, {}))).toBe('UNAUTHORIZED');
  });
});

describe('a drain', () => {
  it('takes effect if the disk refuses it, and reports that it is not stored', async () => {
    const place = new Place();
    const world = await place.start();
    await world.healthy('orders-1', 3_001);
    world.hold('orders-1');
    place.disk.refuse('EIO');
    expect(value(await world.registry.drain('orders-1', SECRET, {}))).toEqual({ watchers: 1, stored: false });
    expect(seen(world)).toBe('DEREGISTERING');
    place.disk.repair();
    await place.bench.time.advanceBy(SECOND);
    await world.time.advanceBy(SECOND);
    expect(value(await world.registry.drain('orders-1', SECRET, {}))).toEqual({ watchers: 1 });
  });

  it('waits for a slow disk for a second: its instance has to know for whom to wait', async () => {
    const place = new Place();
    const world = await place.start();
    await world.healthy('orders-1', 3_001);
    place.hang();
    const draining = world.registry.drain('orders-1', SECRET, {});
    expect(await isSettled(world, draining, 999)).toBe(false);
    await world.time.advanceBy(1);
    expect(value(await draining)).toEqual({ watchers: 0, stored: false });
  });

  it('leaves no timer behind', async () => {
    const world = await World.started();
    value(await world.register('orders-1', 3_001));
    const before = world.time.pending().background;
    value(await world.registry.drain('orders-1', SECRET, {}));
    expect(world.time.pending().background).toBe(before);
  });
});
