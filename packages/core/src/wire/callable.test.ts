import { describe, expect, it } from 'vitest';
import { STATES } from '../lifecycle/vitals.js';
import {
  ADMIN_WORDS,
  AWAY_ACTIONS,
  callableText,
  countCallable,
  isCallable,
  isOutage,
  isSubstitute,
} from './callable.js';
import { ADMIN_STATES, AWAY_STATES } from './instance.js';

describe('callable', () => {
  it('is an ENABLED instance in one of the states that callers allow by default', () => {
    const all = STATES.flatMap((state) => ADMIN_STATES.map((admin) => ({ state, admin })));
    expect(all.filter(isCallable)).toEqual([
      { state: 'HEALTHY', admin: 'ENABLED' },
      { state: 'REGISTERING', admin: 'ENABLED' },
      { state: 'UNHEALTHY', admin: 'ENABLED' },
    ]);
  });

  it('reports each admin state that excludes an instance from calls', () => {
    for (const admin of AWAY_STATES) {
      expect(callableText(countCallable([{ state: 'HEALTHY', admin }]))).toBe(
        `0 of 1 callable: 1 ${ADMIN_WORDS[admin]}`,
      );
    }
    const words = AWAY_STATES.flatMap((admin) => [ADMIN_WORDS[admin], ...Object.values(AWAY_ACTIONS[admin])]);
    // "drained" is both an action of an operator and the state of the instance
    expect(new Set(words).size).toBe(words.length - 1);
  });

  it('is not yet a replacement for another instance while it is REGISTERING', () => {
    expect(isSubstitute({ state: 'REGISTERING', admin: 'ENABLED' })).toBe(false);
    expect(isSubstitute({ state: 'UNHEALTHY', admin: 'ENABLED' })).toBe(true);
    expect(isSubstitute({ state: 'HEALTHY', admin: 'DRAINING' })).toBe(false);
  });

  it('is counted, with the reasons that exclude the others', () => {
    const healthy = { state: 'HEALTHY', admin: 'ENABLED' } as const;
    expect(callableText(countCallable([healthy, { ...healthy, state: 'UNHEALTHY' }]))).toBe('2 of 2 callable');
    const drained = { ...healthy, admin: 'DRAINING' } as const;
    expect(callableText(countCallable([drained, drained]))).toBe('0 of 2 callable: 2 drained');
    const mixed = [
      { state: 'CRITICAL', admin: 'ENABLED' },
      { state: 'CRITICAL', admin: 'DRAINING' },
      { state: 'HEALTHY', admin: 'MAINTENANCE' },
      healthy,
    ] as const;
    const count = countCallable(mixed);
    expect(callableText(count)).toBe('1 of 4 callable: 1 drained, 1 in maintenance, 1 CRITICAL');
    expect(count.admin).toEqual({ ENABLED: 2, DRAINING: 1, MAINTENANCE: 1 });
    expect(callableText(countCallable([]))).toBe('0 of 0 callable');
  });

  it('has no instance in an outage, unless all of them are leaving, drained before or not', () => {
    const drained = { state: 'HEALTHY', admin: 'DRAINING' } as const;
    const leaving = { state: 'DEREGISTERING', admin: 'ENABLED' } as const;
    expect(isOutage(countCallable([drained]))).toBe(true);
    expect(isOutage(countCallable([drained, leaving]))).toBe(true);
    expect(isOutage(countCallable([leaving, { ...leaving, admin: 'DRAINING' }]))).toBe(false);
    expect(isOutage(countCallable([]))).toBe(false);
  });
});
