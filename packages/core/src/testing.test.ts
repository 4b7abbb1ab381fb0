import { describe, expect, it } from 'vitest';
import { sleep } from './runtime/time.js';
import { ManualTime, memoryMeter, recordingLog, seededRandom } from './testing.js';

function fail(): never {
  throw new Error('from a timer');
}

describe('ManualTime', () => {
  it('stops until it is advanced', () => {
    const time = new ManualTime({ nowMs: 5, wallMs: 1_000 });
    expect([time.now(), time.wall()]).toEqual([5, 1_000]);
    time.advance(2.5);
    expect([time.now(), time.wall()]).toEqual([7.5, 1_002.5]);
  });

  it('runs timers in the order of their due times, and those with the same due time in the order in which they were set', () => {
    const time = new ManualTime();
    const ran: string[] = [];
    const note = (name: string) => () => void ran.push(`${name}@${time.now()}`);
    time.setTimer(20, note('c'));
    time.setTimer(10, note('a'));
    time.setTimer(20, note('d'));
    time.setTimer(10, note('b'));
    time.setTimer(21, note('late'));
    time.advance(20);
    expect(ran).toEqual(['a@10', 'b@10', 'c@20', 'd@20']);
  });

  it('runs a timer that a timer sets, at its own time, if it falls due during the advance', () => {
    const time = new ManualTime();
    const ran: number[] = [];
    const tick = (): void => {
      ran.push(time.now());
      time.setTimer(10, tick);
    };
    time.setTimer(10, tick);
    time.advance(35);
    expect(ran).toEqual([10, 20, 30]);
    expect(time.now()).toBe(35);
    expect(time.nextAt()).toBe(40);
  });

  it('runs a timer of 0 ms at the next advance, not before', () => {
    const time = new ManualTime();
    let ran = false;
    time.setTimer(0, () => {
      ran = true;
    });
    expect(ran).toBe(false);
    time.advance(0);
    expect(ran).toBe(true);
  });

  it('does not run a cancelled timer, even if an earlier one with the same due time cancels it', () => {
    const time = new ManualTime();
    const ran: string[] = [];
    time.setTimer(10, () => {
      ran.push('first');
      second.cancel();
    });
    const second = time.setTimer(10, () => void ran.push('second'));
    const third = time.setTimer(10, () => void ran.push('third'));
    time.advance(10);
    third.cancel();
    expect(ran).toEqual(['first', 'third']);
  });

  it('counts pending timers, apart from background timers', () => {
    const time = new ManualTime();
    expect(time.nextAt()).toBeNull();
    const timer = time.setTimer(10, () => {});
    time.setTimer(5, () => {}, { background: true });
    expect(time.pending()).toEqual({ foreground: 1, background: 1 });
    expect(time.nextAt()).toBe(5);
    timer.cancel();
    time.advance(5);
    expect(time.pending()).toEqual({ foreground: 0, background: 0 });
  });

  it('moves only the wall clock', () => {
    const time = new ManualTime({ wallMs: 1_000 });
    time.setTimer(10, () => {});
    time.shiftWall(-500);
    expect([time.now(), time.wall(), time.nextAt()]).toEqual([0, 500, 10]);
  });

  it('lets promise chains of any length progress between timers', async () => {
    const time = new ManualTime();
    const ran: string[] = [];
    const work = async (): Promise<void> => {
      await sleep(time, 10);
      for (let step = 0; step < 5_000; step += 1) await Promise.resolve();
      ran.push(`chain done at ${time.now()}`);
      await sleep(time, 10);
      ran.push(`slept again until ${time.now()}`);
    };
    void work();
    time.setTimer(11, () => void ran.push(`timer at ${time.now()}`));
    await time.advanceBy(100);
    expect(ran).toEqual(['chain done at 10', 'timer at 11', 'slept again until 20']);
    expect(time.now()).toBe(100);
  });

  it('starts code that is about to set its first timer', async () => {
    const time = new ManualTime();
    let done = false;
    const work = async (): Promise<void> => {
      await Promise.resolve();
      await sleep(time, 10);
      done = true;
    };
    void work();
    await time.advanceBy(10);
    expect(done).toBe(true);
  });

  it('rethrows the error of a timer to the caller of advance, and continues afterwards', async () => {
    const time = new ManualTime();
    time.setTimer(10, fail);
    time.setTimer(20, fail);
    expect(() => time.advance(100)).toThrow('from a timer');
    expect(time.now()).toBe(10);
    await expect(time.advanceBy(90)).rejects.toThrow('from a timer');
    expect(time.now()).toBe(20);
    time.advance(1);
    expect(time.now()).toBe(21);
  });

  it('refuses to go back, to advance without end, and to be advanced twice at the same time', async () => {
    const time = new ManualTime();
    expect(() => time.advance(-1)).toThrow(RangeError);
    expect(() => time.advance(Infinity)).toThrow(RangeError);
    expect(() => time.setTimer(-1, () => {})).toThrow(RangeError);
    const first = time.advanceBy(10);
    expect(() => time.advance(10)).toThrow('being advanced already');
    await first;
    expect(time.now()).toBe(10);
  });
});

describe('seededRandom', () => {
  it('repeats itself for a seed, in every version', () => {
    const random = seededRandom(42);
    expect([random.unit(), random.unit()]).toEqual([0.29439390788555, 0.9125655762203799]);
    expect([...random.bytes(4)]).toEqual([39, 28, 195, 81]);
  });

  it('differs for each seed, even for seeds that are near or large', () => {
    const seeds = [0, 1, 2, -1, 2 ** 32, 2 ** 32 + 1, 2 ** 40];
    const firsts = new Set(seeds.map((seed) => seededRandom(seed).unit()));
    expect(firsts.size).toBe(seeds.length);
  });

  it('is uniform: each twentieth of the range gets its share of 100,000 numbers', () => {
    const random = seededRandom(3);
    const slots = Array.from({ length: 100_000 }, () => Math.floor(random.unit() * 20));
    const shares = Array.from({ length: 20 }, (_, slot) => slots.filter((taken) => taken === slot).length);
    // chi-square with 19 degrees of freedom: one good generator in a thousand exceeds 43.8
    const chiSquare = shares.reduce((sum, share) => sum + (share - 5_000) ** 2 / 5_000, 0);
    expect(chiSquare).toBeLessThan(43.8);
  });
});

describe('memoryMeter', () => {
  it('adds up a counter by its labels', () => {
    const meter = memoryMeter();
    const calls = meter.counter('rollcall_calls_total', 'Calls by outcome.', ['service', 'outcome']);
    calls.add(1, 'orders', 'success');
    calls.add(2, 'orders', 'failure');
    calls.add(4, 'users', 'success');
    expect(meter.count('rollcall_calls_total')).toBe(7);
    expect(meter.count('rollcall_calls_total', { service: 'orders' })).toBe(3);
    expect(meter.count('rollcall_calls_total', { service: 'users', outcome: 'success' })).toBe(4);
    expect(meter.count('rollcall_calls_total', { service: 'nobody' })).toBe(0);
    expect(meter.count('rollcall_never_made_total')).toBe(0);
  });

  it('sets, changes and removes a gauge', () => {
    const meter = memoryMeter();
    const open = meter.gauge('rollcall_connections', 'Open connections.', ['service']);
    open.set(5, 'orders');
    open.add(-2, 'orders');
    open.add(1, 'users');
    expect(meter.count('rollcall_connections')).toBe(4);
    open.forget('orders');
    expect(meter.count('rollcall_connections')).toBe(1);
  });

  it('keeps every value of a histogram', () => {
    const meter = memoryMeter();
    const seconds = meter.histogram('rollcall_call_seconds', 'Duration of a call.', ['service']);
    seconds.record(0.2, 'orders');
    seconds.record(0.1, 'orders');
    seconds.record(3, 'users');
    expect(meter.values('rollcall_call_seconds', { service: 'orders' })).toEqual([0.2, 0.1]);
  });

  it('returns the same instrument for the same name, and rejects another one with that name', () => {
    const meter = memoryMeter();
    meter.counter('rollcall_calls_total', 'Calls.').add(1);
    meter.counter('rollcall_calls_total', 'Calls.').add(1);
    expect(meter.count('rollcall_calls_total')).toBe(2);
    expect(() => meter.counter('rollcall_calls_total', 'Calls.', ['service'])).toThrow(TypeError);
    meter.gauge('rollcall_instances', 'Instances.');
    expect(() => meter.histogram('rollcall_instances', 'Instances.')).toThrow(TypeError);
    expect(meter.names()).toEqual(['rollcall_calls_total', 'rollcall_instances']);
  });

  it('rejects a metric that would be invalid in production', () => {
    const meter = memoryMeter();
    expect(() => meter.counter('rollcall_calls', 'No unit.')).toThrow(TypeError);
    expect(() => meter.gauge('rollcall_calls_total', 'No counter.')).toThrow(TypeError);
    expect(() => meter.gauge('open_connections', 'No prefix.')).toThrow(TypeError);
    const calls = meter.counter('rollcall_calls_total', 'Calls.', ['instance']);
    expect(() => calls.add(-1, 'a')).toThrow(RangeError);
    const flood = (): void => {
      for (let i = 0; i <= 1_000; i += 1) calls.add(1, `instance-${i}`);
    };
    expect(flood).toThrow('one of its labels is not bounded');
  });
});

describe('recordingLog', () => {
  it('keeps lines with their level', () => {
    const log = recordingLog();
    log.info('started');
    log.warn('no registry');
    log.info('registered');
    expect(log.texts()).toEqual(['started', 'no registry', 'registered']);
    expect(log.texts('info')).toEqual(['started', 'registered']);
    expect(log.lines[1]).toEqual({ level: 'warn', text: 'no registry' });
  });
});
