import { describe, expect, it } from 'vitest';
import { Pace } from './pace.js';
import { codeOf, SECOND, value, World } from './registry.fixture.js';

const p99LateMs = (world: World): number => value(world.registry.describe()).calls.p99LateMs;

/** Instances `orders-0` … that are HEALTHY, their calls spread over the interval. */
async function fleetOf(size: number): Promise<World> {
  const world = await World.started();
  for (let index = 0; index < size; index += 1) {
    world.moveIn(`orders-${index}`, 3_001 + index);
    value(await world.register(`orders-${index}`, 3_001 + index));
    if (index % 100 === 99) await world.time.advanceBy(200);
  }
  await world.time.advanceBy(10 * SECOND);
  return world;
}

function die(world: World, port: number): void {
  world.town.inhabitants.delete(port);
}

describe('a turn of the event loop', () => {
  const { intervalMs } = { intervalMs: 5_000 };

  it('begins of those who are on time as many as it may, and of the late as many as became due since the last one and half as many again', () => {
    const pace = new Pace(intervalMs, 0);
    const most = pace.turn(3);
    expect(most({ size: 10_000, behindMs: 100, areStrangers: false })).toBe(32);
    expect(most({ size: 10_000, behindMs: 101, areStrangers: false })).toBe(9);
    expect(pace.turn(13)({ size: 5_000, behindMs: 101, areStrangers: false })).toBe(15);
  });

  it('begins of strangers no more than that, also while they are on time', () => {
    expect(new Pace(intervalMs, 0).turn(3)({ size: 10_000, behindMs: 0, areStrangers: true })).toBe(9);
  });

  it('begins a few of however few, and never more than a turn may', () => {
    const pace = new Pace(intervalMs, 0);
    expect(pace.turn(0)({ size: 10_000, behindMs: 900, areStrangers: true })).toBe(4);
    expect(pace.turn(1)({ size: 1, behindMs: 900, areStrangers: false })).toBe(4);
    expect(pace.turn(9_000)({ size: 10_000, behindMs: 900, areStrangers: false })).toBe(32);
  });
});

describe('a registry whose turns are long', () => {
  it('catches up after one pause, and then removes who died in it', async () => {
    const world = await fleetOf(1_000);
    world.lateMs = 30;
    await world.time.advanceBy(6 * SECOND);
    world.stoppedMs += 600;
    die(world, 3_001);
    await world.time.advanceBy(60 * SECOND);
    expect(p99LateMs(world)).toBeLessThan(100);
    expect(codeOf(world.registry.instance('orders-0'))).toBe('NOT_FOUND');
  });

  it('judges the known, and the strangers, however many those are', async () => {
    const world = await fleetOf(20);
    world.lateMs = 30;
    for (let index = 0; index < 1_000; index += 1) value(await world.register(`strange-${index}`, 9_001 + index));
    die(world, 3_001);
    await world.time.advanceBy(90 * SECOND);
    expect(codeOf(world.registry.instance('orders-0'))).toBe('NOT_FOUND');
    expect(world.record('orders-1').state).toBe('HEALTHY');
    expect(value(world.registry.service('default', 'orders')).instances).toHaveLength(19);
  });

  it('does not count against strangers that it did not call them', async () => {
    const world = await World.started();
    // in each turn, a stranger has less than its share
    world.lateMs = 400;
    for (let index = 0; index < 2_000; index += 1) {
      world.moveIn(`orders-${index}`, 3_001 + index);
      value(await world.register(`orders-${index}`, 3_001 + index));
    }
    const criticalAt: number[] = [];
    for (let second = 0; second < 60; second += 1) {
      await world.time.advanceBy(SECOND);
      const { instances } = value(world.registry.service('default', 'orders'));
      if (instances.some(({ state }) => state === 'CRITICAL')) criticalAt.push(second);
    }
    expect(criticalAt).toEqual([]);
    expect(value(world.registry.service('default', 'orders')).instances.map(({ state }) => state)).not.toContain(
      'REGISTERING',
    );
  });
});
