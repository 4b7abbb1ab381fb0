import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { Test } from '@nestjs/testing';
import { PORTS } from '../inject.js';
import type { Ports } from '../inject.js';
import { RollcallModule } from '../rollcall.module.js';
import { prometheusMeter } from './prometheus.js';

describe('a meter on prom-client', () => {
  it('counts, goes up and down, and sorts into buckets', async () => {
    const register = new Registry();
    const meter = prometheusMeter(register);
    meter.counter('rollcall_test_things_total', 'Things.', ['service', 'kind']).add(2, 'orders', 'good');
    const level = meter.gauge('rollcall_test_level', 'Level.', ['service']);
    level.set(4, 'orders');
    level.add(-1, 'orders');
    level.set(9, 'users');
    level.forget('users');
    const time = meter.histogram('rollcall_test_seconds', 'Time.', ['service'], [0.1, 1]);
    time.record(0.5, 'orders');
    const text = await register.metrics();
    expect(text).toContain('# HELP rollcall_test_things_total Things.');
    expect(text).toContain('rollcall_test_things_total{service="orders",kind="good"} 2');
    expect(text).toContain('rollcall_test_level{service="orders"} 3');
    expect(text).not.toContain('users');
    expect(text).toContain('rollcall_test_seconds_bucket{le="0.1",service="orders"} 0');
    expect(text).toContain('rollcall_test_seconds_bucket{le="1",service="orders"} 1');
  });

  it('returns the same instrument for the same name, also for another meter on that register', async () => {
    const register = new Registry();
    prometheusMeter(register).counter('rollcall_test_total', 'Things.').add(1);
    prometheusMeter(register).counter('rollcall_test_total', 'Things.').add(2);
    expect(await register.metrics()).toContain('rollcall_test_total 3');
    expect(() => prometheusMeter(register).gauge('rollcall_test_total', 'Things.')).toThrow(
      'rollcall_test_total is taken in this register',
    );
    expect(() => prometheusMeter(register).counter('rollcall_test_total', 'Things.', ['a'])).toThrow(TypeError);
  });

  it('starts again after its register was cleared', async () => {
    const register = new Registry();
    prometheusMeter(register).counter('rollcall_test_total', 'Things.').add(1);
    register.clear();
    prometheusMeter(register).counter('rollcall_test_total', 'Things.').add(5);
    expect(await register.metrics()).toContain('rollcall_test_total 5');
  });
});

describe('an application with a meter', () => {
  it('counts its events there', async () => {
    const register = new Registry();
    const module = await Test.createTestingModule({
      imports: [RollcallModule.forRoot({ meter: prometheusMeter(register) })],
    }).compile();
    expect(module.get<Ports>(PORTS, { strict: false }).meter).toBeDefined();
    await module.close();
    const text = await register.metrics();
    expect(text).toContain('rollcall_registry_connected 0');
    expect(text).toContain('# TYPE rollcall_call_seconds histogram');
    expect(text).toContain('# TYPE rollcall_late_requests_total counter');
  });

  it('rejects a value that is not a meter, and says where to get one', async () => {
    const made = Test.createTestingModule({ imports: [RollcallModule.forRoot({ meter: {} as never })] }).compile();
    await expect(made).rejects.toThrow('prometheusMeter() of @rollcall/nestjs/prometheus');
  });
});
