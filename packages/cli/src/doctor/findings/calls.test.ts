import { describe, expect, it } from 'vitest';
import { judge } from '../diagnose.js';
import { callEdge, facts } from '../doctor.fixture.js';

describe('calls between services', () => {
  it('says that calls between services were not looked at, where the registry did not tell of them', () => {
    const { findings, unchecked } = judge(facts({ calls: { kind: 'unread', why: '503' } }));
    expect(findings).toEqual([]);
    expect(unchecked.join()).toContain(
      'calls between services, because the question about them was not answered (503)',
    );
  });

  it('says of failing calls that nobody of their service may be called', () => {
    const calls = { kind: 'read', edges: [{ ...callEdge, failures: 100 }] } as const;
    const services = new Map([['default/orders', { all: 2, callable: 0, leaving: 0 }]]);
    const { findings } = judge(facts({ calls, services }));
    expect(findings.find(({ code }) => code === 'calls-failing')?.what).toBe(
      'gateway → orders: 100 of 100 calls failed in the last 5 s (nobody of orders may be called).',
    );
  });
});
