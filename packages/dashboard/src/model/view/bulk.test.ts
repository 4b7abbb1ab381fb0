import type { Instance } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { sample } from '../live/sample.fixture.js';
import { bulkOf } from './bulk.js';

const sampleWith = (id: string, overrides: Partial<Instance>): Instance => ({ ...sample(id), ...overrides });
const bulkIds = (listed: readonly Instance[]) => {
  const bulk = bulkOf(listed);
  return bulk === null ? null : [bulk.to, ...bulk.instances.map(({ id }) => id)];
};

describe('bulkOf', () => {
  const enabled = sampleWith('a-1', { state: 'CRITICAL' });
  const drained = sampleWith('a-2', { admin: 'DRAINING' });
  const maintained = sampleWith('a-3', { admin: 'MAINTENANCE' });
  const leaving = sampleWith('a-4', { state: 'DEREGISTERING' });

  it('drains instances that are not away yet', () => {
    expect(bulkIds([drained, enabled, maintained, leaving, sampleWith('a-5', {})])).toEqual(['DRAINING', 'a-1', 'a-5']);
  });

  it('undrains if all of them are drained, but does not end maintenance', () => {
    expect(bulkIds([maintained, drained])).toEqual(['ENABLED', 'a-2']);
  });

  it('returns null if the list is empty, leaving, or in maintenance', () => {
    expect([bulkIds([]), bulkIds([leaving, maintained])]).toEqual([null, null]);
  });
});
