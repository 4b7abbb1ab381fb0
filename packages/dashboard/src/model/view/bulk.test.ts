import type { Instance } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { sample } from '../live/sample.fixture.js';
import { bulkOf } from './bulk.js';

const sampleWith = (id: string, words: Partial<Instance>): Instance => ({ ...sample(id), ...words });
const told = (listed: readonly Instance[]) => {
  const bulk = bulkOf(listed);
  return bulk === null ? null : [bulk.to, ...bulk.instances.map(({ id }) => id)];
};

describe('what can be done with all of a list', () => {
  const enabled = sampleWith('a-1', { state: 'CRITICAL' });
  const drained = sampleWith('a-2', { admin: 'DRAINING' });
  const maintained = sampleWith('a-3', { admin: 'MAINTENANCE' });
  const leaving = sampleWith('a-4', { state: 'DEREGISTERING' });

  it('is to drain those that are not away yet', () => {
    expect(told([drained, enabled, maintained, leaving, sampleWith('a-5', {})])).toEqual(['DRAINING', 'a-1', 'a-5']);
  });

  it('is to take it back where all of them are drained, but no maintenance', () => {
    expect(told([maintained, drained])).toEqual(['ENABLED', 'a-2']);
  });

  it('is nothing where nobody is there, leaves, or is in maintenance', () => {
    expect([told([]), told([leaving, maintained])]).toEqual([null, null]);
  });
});
