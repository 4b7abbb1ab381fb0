import { describe, expect, it } from 'vitest';
import { DEFAULT_LIMITS } from './limits.js';
import { Allowances, Quota, sourceOf } from './quotas.js';
import type { QuotaRequest } from './quotas.js';

describe('a source', () => {
  it.each([
    ['10.0.0.5', '10.0.0.5'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:DB8:1:2::6', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['2001:db8::', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '::1'],
    ['', ''],
  ])('with the address %s is %s', (address, source) => {
    expect(sourceOf(address)).toBe(source);
  });
});

describe('an allowance', () => {
  it('permits its burst at once, and then the same number per minute', () => {
    const allowances = new Allowances(6);
    for (let i = 0; i < 6; i += 1) expect(allowances.take('a', 0)).toBe(0);
    expect(allowances.take('a', 0)).toBe(10_000);
    expect(allowances.take('a', 9_000)).toBe(1_000);
    expect(allowances.take('a', 10_000)).toBe(0);
    expect(allowances.take('a', 10_000)).toBe(10_000);
    expect(allowances.take('b', 10_000)).toBe(0);
  });

  it('never exceeds its burst, after any pause and any refund', () => {
    const allowances = new Allowances(2);
    allowances.take('a', 0);
    allowances.refund('a', 0);
    allowances.refund('a', 0);
    for (const wait of [0, 0, 30_000]) expect(allowances.take('a', 600_000)).toBe(wait);
  });

  it('is forgotten once it is full again', () => {
    const allowances = new Allowances(2);
    for (let i = 0; i < 100; i += 1) allowances.take(`source-${i}`, i);
    expect(allowances.size).toBe(100);
    allowances.take('another', 60_200);
    expect(allowances.size).toBe(1);
  });

  it('is kept for a limited number of sources', () => {
    const allowances = new Allowances(2);
    for (let i = 0; i < 20_000; i += 1) allowances.take(`source-${i}`, 0);
    expect(allowances.size).toBeLessThanOrEqual(10_000);
    expect(allowances.take('source-19999', 0)).toBe(0);
    expect(allowances.take('source-19999', 0)).toBeGreaterThan(0);
  });
});

const quotaRequest = (overrides: Partial<QuotaRequest> = {}): QuotaRequest => ({
  source: '10.0.0.5',
  serviceKey: 'default/orders',
  token: null,
  isNew: true,
  ...overrides,
});

/** A quota without registered instances: only reservations count. */
function empty(limits: Partial<typeof DEFAULT_LIMITS>): Quota {
  const occupancy = { size: 0, sizeOf: () => 0, countByToken: () => 0, service: () => undefined };
  return new Quota({ ...DEFAULT_LIMITS, ...limits }, occupancy);
}

describe('a quota', () => {
  it('counts reservations until they are freed', () => {
    const quota = empty({ maxInstances: 2 });
    const first = quota.reserve(quotaRequest(), 0);
    quota.reserve(quotaRequest({ source: '10.0.0.6', serviceKey: 'default/users' }), 0);
    const third = quota.reserve(quotaRequest({ source: '10.0.0.7' }), 0);
    expect(third).toEqual({
      ok: false,
      problem: { limit: 'maxInstances', max: 2, count: 2, subject: '', retryAfterMs: 10_000 },
    });
    if (first.ok) first.value.free();
    expect(quota.reserve(quotaRequest({ source: '10.0.0.7' }), 0).ok).toBe(true);
  });

  it.each([
    ['maxInstancesPerSource', { serviceKey: 'default/users' }, { source: '10.0.0.6' }, '10.0.0.5'],
    ['maxInstancesPerService', { source: '10.0.0.6' }, { serviceKey: 'default/users' }, 'default/orders'],
    ['maxInstancesPerToken', { source: '10.0.0.6', serviceKey: 'default/users' }, { token: 'b' }, 'a'],
  ] as const)('refuses requests beyond %s, and no others', (limit, over, other, subject) => {
    const quota = empty({ [limit]: 1 });
    quota.reserve(quotaRequest({ token: 'a' }), 0);
    const refused = quota.reserve(quotaRequest({ token: 'a', ...over }), 0);
    expect(refused).toMatchObject({ ok: false, problem: { limit, max: 1, count: 1, subject } });
    expect(quota.reserve(quotaRequest({ ...over, ...other }), 0).ok).toBe(true);
  });

  it('takes one of the allowance for a new instance, and gives it back on refund', () => {
    const quota = empty({ maxInstancesPerSource: 1 });
    const first = quota.reserve(quotaRequest(), 0);
    if (first.ok) first.value.free();
    for (let i = 1; i < 100; i += 1) {
      const next = quota.reserve(quotaRequest(), 0);
      if (next.ok) next.value.free();
    }
    expect(quota.reserve(quotaRequest(), 0)).toMatchObject({
      ok: false,
      problem: { limit: 'newcomers', max: 100, subject: '10.0.0.5', retryAfterMs: 600 },
    });
    const known = quota.reserve(quotaRequest({ isNew: false }), 0);
    expect(known.ok).toBe(true);
    if (known.ok) known.value.free();
    if (first.ok) first.value.refund(0);
    expect(quota.reserve(quotaRequest(), 0).ok).toBe(true);
  });

  it('limits the registrations of a token per minute, known instances included, but not those that need no token', () => {
    const quota = empty({ maxRegistrationsPerToken: 2 });
    expect([quota.rateExcess('a', 0), quota.rateExcess('a', 0)]).toEqual([null, null]);
    const excess = { limit: 'maxRegistrationsPerToken', max: 2, count: 2, subject: 'a' };
    expect(quota.rateExcess('a', 0)).toEqual({ ...excess, retryAfterMs: 30_000 });
    expect(quota.rateExcess('b', 0)).toBeNull();
    expect(quota.rateExcess('a', 30_000)).toBeNull();
    for (let i = 0; i < 10; i += 1) expect(quota.rateExcess(null, 0)).toBeNull();
  });
});
