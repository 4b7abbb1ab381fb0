import { systemRandom } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { isShort } from '../variants.js';
import { readPositiveInteger, search } from './search.js';

const RUNS = isShort ? 100 : 600;

describe('random plans of a fresh seed', () => {
  it('break no invariant', { timeout: 3_600_000 }, async () => {
    const seed = readPositiveInteger('SIM_SEED') ?? Math.floor(systemRandom.unit() * 2 ** 31);
    console.log(`SIM_SEED=${seed}`);
    expect(await search({ seed, runs: RUNS, seconds: readPositiveInteger('SIM_SECONDS') })).toBeGreaterThan(0);
  });
});
