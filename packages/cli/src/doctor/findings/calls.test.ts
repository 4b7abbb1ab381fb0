import { describe, expect, it } from 'vitest';
import { diagnose } from '../diagnose.js';
import { callEdge, facts, instanceFacts } from '../doctor.fixture.js';
import type { CallEdge, CallTarget, Facts } from '../facts/facts.js';

const target = (instance: string, overrides: Partial<CallTarget> = {}): CallTarget => ({
  instance,
  attempts: 100,
  failures: 0,
  circuits: { closed: 2, open: 0, halfOpen: 0 },
  ...overrides,
});
const OPEN = { closed: 0, open: 2, halfOpen: 0 };
const edge = (from: string, to: string, overrides: Partial<CallEdge> = {}): CallEdge => ({
  ...callEdge,
  from,
  to,
  ...overrides,
});
const diagnoseEdges = (edges: readonly CallEdge[], overrides: Partial<Facts> = {}): ReturnType<typeof diagnose> =>
  diagnose(facts({ calls: { kind: 'read', edges }, ...overrides }));
const whatOf = (...args: Parameters<typeof diagnoseEdges>): readonly string[] =>
  diagnoseEdges(...args).findings.map(({ what }) => what);
/** The number of findings for these calls and failures. */
const countFindings = (count: number, failures: number): number =>
  diagnoseEdges([edge('gateway', 'orders', { calls: count, failures })]).findings.length;
const fails = (to: string): CallEdge => edge('gateway', to, { failures: 100 });
const SERVICES = new Map([
  ['default/orders', { all: 2, callable: 2, leaving: 0 }],
  ['default/a', { all: 2, callable: 0, leaving: 0 }],
]);
const inService = (service: string): Partial<Facts> => ({
  scope: { kind: 'service', namespace: '*', service },
  services: SERVICES,
});

describe('calls between services', () => {
  it('fail from three failures and a tenth on, not below', () => {
    expect([
      countFindings(2, 2),
      countFindings(3, 3),
      countFindings(31, 3),
      countFindings(30, 3),
      countFindings(1_000, 99),
    ]).toEqual([0, 1, 0, 1, 0]);
  });

  it('name a callee without callable or registered instances', () => {
    const what = (to: string): string | undefined => whatOf([fails(to)], { services: SERVICES })[0];
    expect(what('a')).toBe('gateway → a: 100 of 100 calls failed in the last 5 s (no instance of a may be called).');
    expect(what('gone')).toContain('(no instance of gone is registered).');
    expect(what('orders')).toBe('gateway → orders: 100 of 100 calls failed in the last 5 s.');
    const fix = diagnoseEdges([fails('a')], { services: SERVICES }).findings[0]?.commands;
    expect(fix).toEqual(['rollcall doctor a']);
  });

  it('name the instance with the most failures', () => {
    const targets = [target('orders-0001', { failures: 40 }), target('orders-0002', { failures: 1 })];
    const [found] = diagnoseEdges([edge('gateway', 'orders', { failures: 20, targets })], {
      services: SERVICES,
    }).findings;
    expect(found?.fix.join('\n')).toMatch(/most failures are at orders…0001.*\n.*rollcall drain orders-0001/);
  });

  it('belong to a service as caller and callee, and to an instance as callee', () => {
    const all = [
      edge('gateway', 'a', { failures: 50 }),
      edge('orders', 'a', { failures: 50 }),
      edge('billing', 'mailer', { failures: 50 }),
    ];
    expect(whatOf(all, inService('gateway'))).toHaveLength(1);
    expect(whatOf(all, inService('a'))).toHaveLength(2);
    expect(whatOf(all)).toHaveLength(3);
    const one = { scope: { kind: 'instances' } as const, instances: [instanceFacts({ id: 'a-1', service: 'a' })] };
    expect(whatOf(all, one)).toHaveLength(2);
    expect(whatOf(all)[0]).toContain('→');
  });

  it('count as unchecked, with the reason, if they could not be read', () => {
    const { findings, unchecked } = diagnose(facts({ calls: { kind: 'unread', why: '503 busy' } }));
    expect(findings).toEqual([]);
    expect(unchecked).toContain('calls between services, because the request for them was not answered (503 busy)');
  });
});

describe('circuits', () => {
  const kept = edge('billing', 'orders', { targets: [target('orders-0001', { failures: 28, circuits: OPEN })] });

  it('produce a finding with the callers that keep one open', () => {
    const fine = edge('search', 'orders', { targets: [target('orders-0001')] });
    const [found] = diagnoseEdges([kept, fine]).findings;
    expect(found?.what).toBe(
      '2 of 2 instances of billing keep their circuits to orders…0001 open. Other callers: fine.',
    );
    expect(found).toMatchObject({ instances: ['orders-0001'], names: ['orders…0001'] });
    expect(found?.commands).toContain('nc -vz 127.0.0.1 4001');
    const poor = edge('search', 'orders', { targets: [target('orders-0001', { failures: 30 })] });
    expect(whatOf([kept, poor])[0]).not.toContain('fine');
    expect(whatOf([kept])[0]).not.toContain('fine');
  });

  it('produce no finding for an instance that is gone, or may not be called', () => {
    const gone = edge('billing', 'orders', { targets: [target('orders-9', { circuits: OPEN })] });
    expect(whatOf([gone])).toEqual([]);
    expect(whatOf([kept], { instances: [instanceFacts({ admin: 'DRAINING' })] })).toEqual([]);
  });

  it('produce no finding while they are only half-open', () => {
    const halfOpen = { closed: 1, open: 0, halfOpen: 1 };
    expect(whatOf([edge('billing', 'orders', { targets: [target('orders-0001', { circuits: halfOpen })] })])).toEqual(
      [],
    );
  });
});
