import { ManualTime, memoryMeter, recordingLog, seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { CallWorld, fleet } from '../call/calls.fixture.js';
import type { WorldSetting } from '../call/calls.fixture.js';
import type { Plan } from '../transport/scripted.fixture.js';
import { CallerEvents } from './events.js';
import type { CallerEvent } from './events.js';

class World extends CallWorld {
  readonly meter;
  readonly log;
  readonly received: CallerEvent[] = [];

  constructor(setting: Partial<WorldSetting> = {}) {
    const [meter, log] = [memoryMeter(), recordingLog()];
    super({ time: new ManualTime({ nowMs: 100_000, wallMs: 5_000 }), random: seededRandom(3), meter, log, ...setting });
    this.meter = meter;
    this.log = log;
    this.calls.onEvent((event) => this.received.push(event));
  }

  get kinds(): readonly string[] {
    return this.received.map(({ kind }) => kind);
  }
}

const REFUSED: Plan = { afterMs: 1, failure: 'refused' };

describe('events', () => {
  it('report that the last instance is ejected, that no instance can be called, and the end of both', async () => {
    const world = new World({ instances: fleet('HEALTHY') }).play({ a: REFUSED });
    while (!world.calls.isEjected('a')) await world.ask(undefined, 300);
    expect(world.kinds).toEqual(['ejected', 'opened']);
    expect(world.received).toMatchObject([
      { service: 'orders', instance: 'a', protocol: 'tcp', cause: 'absent', failure: 'refused' },
      { service: 'orders', instance: null, protocol: 'tcp', cause: 'experience' },
    ]);
    expect(world.received[0]?.at).toBeGreaterThan(5_000);
    expect(world.calls.explain('orders').protocols[0]?.state).toBe('OPEN');

    world.play({});
    await world.time.advanceBy(1_500);
    for (let i = 0; i < 3; i += 1) await world.ask(undefined, 50);
    expect(world.kinds.slice(2)).toEqual(['degraded', 'closed', 'readmitted']);
    expect(world.calls.explain('orders').protocols[0]?.state).toBe('CLOSED');
  });

  it('report that the states in the registry leave no callable instance, and when one is callable again', async () => {
    const world = new World({ instances: fleet('HEALTHY', 'HEALTHY') });
    await world.ask(undefined, 5);
    world.view.become(fleet('CRITICAL', 'CRITICAL'));
    await world.time.advanceBy(0);
    expect(world.received).toMatchObject([{ kind: 'opened', cause: 'registry' }]);
    world.view.become(fleet('HEALTHY', 'CRITICAL'));
    await world.time.advanceBy(0);
    expect(world.kinds).toEqual(['opened', 'closed']);
  });

  it('are not sent for a service before its first instances', async () => {
    const world = new World({ instances: [] });
    await world.ask(undefined, 5);
    world.view.become(fleet('HEALTHY'));
    await world.ask(undefined, 5);
    expect(world.received).toEqual([]);
  });

  it('are emitted at most once a second, with their count', async () => {
    const world = new World({ options: { services: { orders: { maxConcurrent: 1 } } } });
    world.play({ a: 'never', b: 'never', c: 'never' });
    world.calls.call('orders', 'find', 1).catch(() => {});
    for (let i = 0; i < 50; i += 1) await world.ask(undefined, 50);
    const sheds = world.received.flatMap((event) => (event.kind === 'shed' ? [event.count] : []));
    expect(sheds).toEqual([1, 20, 20]);
    expect(world.received[0]).toMatchObject({ kind: 'shed', cause: 'bulkhead', instance: null });
    expect(world.meter.count('rollcall_call_sheds_total', { service: 'orders', cause: 'bulkhead' })).toBe(50);
  });

  it('report hedges, and an empty retry budget', async () => {
    const world = new World({ options: { hedgeRatio: 1 } });
    await world.warmUp();
    const plans: Plan[] = ['never', { afterMs: 1, values: ['second'] }];
    world.tcp.script = () => plans.shift() ?? { afterMs: 1, values: ['later'] };
    await world.ask({ idempotent: true, hedge: { afterMs: 20 } });
    expect(world.received).toMatchObject([
      { kind: 'hedged', instance: world.calledHosts.at(-1), cause: 'slow', count: 1 },
    ]);

    const withoutBudget = new World({ options: { retryRatio: 0, retriesPerSecond: 0 } });
    withoutBudget.play({
      a: { afterMs: 1, failure: 'closed' },
      b: { afterMs: 1, failure: 'closed' },
      c: { afterMs: 1, failure: 'closed' },
    });
    await withoutBudget.ask({ idempotent: true });
    expect(withoutBudget.received).toMatchObject([
      { kind: 'budget-exhausted', instance: withoutBudget.calledHosts[0], cause: 'closed', count: 1 },
    ]);
    expect(withoutBudget.meter.count('rollcall_call_budget_exhausted_total', { service: 'orders' })).toBe(1);
  });

  it('never throw into a call', async () => {
    const world = new World({ instances: fleet('HEALTHY') }).play({ a: REFUSED });
    world.calls.onEvent(() => {
      throw new Error('a bug in the application');
    });
    const soon = { deadlineMs: 200 };
    while (!world.calls.isEjected('a')) expect((await world.ask(soon, 300)).error?.code).toBe('TRANSPORT');
    expect(world.kinds).toEqual(['ejected', 'opened']);
    expect(world.log.texts('error')[0]).toContain('a bug in the application');
  });

  it('end when the listener is removed, and when the client is closed', async () => {
    const world = new World({ instances: fleet('HEALTHY') }).play({ a: REFUSED });
    const received: CallerEvent[] = [];
    world.calls.onEvent((event) => received.push(event))();
    while (!world.calls.isEjected('a')) await world.ask(undefined, 300);
    expect(received).toEqual([]);
    world.view.become([]);
    await world.calls.close();
    const before = world.received.length;
    await world.time.advanceBy(10);
    expect(world.received.length).toBe(before);
  });
});

describe('a flood of events', () => {
  it('is bounded: events beyond the limit are counted and not delivered', async () => {
    const [time, log] = [new ManualTime(), recordingLog()];
    const events = new CallerEvents(time, log);
    const received: CallerEvent[] = [];
    events.listen((event) => received.push(event));
    for (let i = 0; i < 300; i += 1) {
      events.emit({
        kind: 'readmitted',
        service: 'orders',
        at: 0,
        protocol: 'tcp',
        instance: `i${i}`,
        cause: 'errors',
      });
    }
    await time.advanceBy(0);
    expect(received).toHaveLength(256);
    expect(log.texts('warn')[0]).toContain('44 events');
  });
});
