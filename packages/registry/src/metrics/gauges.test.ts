import { memoryMeter } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { RegistryFixture } from '../registry.fixture.js';
import { RegistryGauges } from './gauges.js';
import type { Counted } from './gauges.js';

const admin = { ENABLED: 0, DRAINING: 0, MAINTENANCE: 0 };
const states = { HEALTHY: 0, REGISTERING: 0, UNHEALTHY: 0, CRITICAL: 0, DEREGISTERING: 0 };

/** A called instance whose circuit is open at this many callers. */
const circuits = (open: number) => ({
  instance: 'x',
  callsPerSecond: 0,
  failures: 0,
  p99Ms: null,
  circuits: { closed: 1, open, halfOpen: 0 },
});

describe('the gauges', () => {
  it('name a hundred services, those without a callable instance first, and sum up the others', async () => {
    const meter = memoryMeter();
    const gauges = new RegistryGauges(meter);
    const fixture = await RegistryFixture.start();
    const services = Array.from({ length: 150 }, (_, index) => ({
      namespace: 'default',
      name: `s-${String(index).padStart(3, '0')}`,
      instances: 2,
      states: index === 149 ? { ...states, CRITICAL: 2 } : { ...states, HEALTHY: 2 },
      callable: index < 148 ? 2 : 0,
      admin: index === 148 ? { ...admin, DRAINING: 2 } : { ...admin, ENABLED: 2 },
    }));
    const counted: Counted = {
      ready: true,
      describe: () => fixture.registry.describe(),
      topology: () => fixture.registry.topology('*'),
      services: () => ({ ok: true, value: { revision: 1, services } }),
    };
    gauges.update(counted);
    const name = 'rollcall_registry_instances';
    expect(meter.count(name)).toBe(300);
    expect(meter.count(name, { service: 's-149', state: 'CRITICAL' })).toBe(2);
    expect(meter.count(name, { service: '(other)', state: 'HEALTHY' })).toBe(100);
    expect(meter.values(name)).toHaveLength(505);
    const callable = 'rollcall_registry_callable_instances';
    expect(meter.count(callable, { service: 's-148' })).toBe(0);
    expect(meter.count(callable, { service: 's-000' })).toBe(2);
    expect(meter.count(callable, { service: '(other)' })).toBe(100);
    expect(meter.count(callable)).toBe(296);
    expect(meter.values(callable)).toHaveLength(101);
    const byAdmin = 'rollcall_registry_admin_instances';
    expect(meter.count(byAdmin, { service: 's-148', admin: 'DRAINING' })).toBe(2);
    expect(meter.count(byAdmin)).toBe(300);
    expect(meter.values(byAdmin)).toHaveLength(303);
    services.length = 1;
    gauges.update(counted);
    expect(meter.count(name)).toBe(2);
    expect(meter.values(name)).toHaveLength(5);
    await fixture.registry.close();
  });

  it('sum up the open circuits of callers, by called service', async () => {
    const meter = memoryMeter();
    const fixture = await RegistryFixture.start();
    const edge = {
      namespace: 'default',
      callers: 1,
      calls: 1,
      callsPerSecond: 0,
      failures: 0,
      retries: 0,
      p50Ms: null,
      p99Ms: null,
      inFlight: 0,
      ageMs: 0,
      circuits: circuits(0).circuits,
    };
    const edges = [
      { ...edge, from: 'a', to: 'b', targets: [circuits(2), circuits(1)] },
      { ...edge, from: 'c', to: 'b', targets: [circuits(1)] },
      { ...edge, from: 'a', to: 'd', targets: [circuits(0)] },
    ];
    const counted: Counted = {
      ready: true,
      describe: () => fixture.registry.describe(),
      services: () => fixture.registry.services('*'),
      topology: () => ({ ok: true, value: { withinMs: 1, edges } }),
    };
    new RegistryGauges(meter).update(counted);
    expect(meter.count('rollcall_registry_circuits_open', { service: 'b' })).toBe(4);
    expect(meter.values('rollcall_registry_circuits_open')).toEqual([4]);
    await fixture.registry.close();
  });
});
