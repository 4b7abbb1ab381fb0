import { describe, expect, it } from 'vitest';
import { countCallable } from '@rollcall/core';
import { diagnose } from './diagnose.js';
import { beats, facts, instanceFacts, NOW, registryFacts } from './doctor.fixture.js';
import type { Facts, InstanceFacts } from './facts/facts.js';
import { renderDiagnosis } from './report.js';

const terminal = { width: 100, isColoured: false, isUnicode: true };
const silentInstance = (id: string, service: string): InstanceFacts =>
  instanceFacts(
    { id, service, state: 'UNHEALTHY', reason: { code: 'OUTBOUND_SILENT', text: 'it does not call' } },
    { heartbeats: beats({}, { misses: 5, lastSuccessAgoMs: 30_000 }) },
  );
const count = (all: number, callable: number) => ({ all, callable, leaving: 0 });
const manyFindings = (overrides: Partial<Facts> = {}): Facts =>
  facts({
    instances: [
      ...Array.from({ length: 12 }, (_, at) => silentInstance(`users-01${String(at).padStart(2, '0')}`, 'users')),
      silentInstance('mail-0001', 'mail'),
      silentInstance('mail-0002', 'mail'),
    ],
    services: new Map([
      ['default/users', count(20, 15)],
      ['default/mail', count(2, 0)],
    ]),
    ...overrides,
  });
const textOf = (about: Facts): string => renderDiagnosis(about, diagnose(about), terminal).join('\n');

describe('many findings of one code', () => {
  it('become one entry, the lost service first, with a list of ten and the command for the others', () => {
    const text = textOf(manyFindings());
    expect(text).toContain('✕ 14 instances of 2 services answer Heartbeat-1 but send no Heartbeat-2.');
    expect(text).toMatch(/at {3}default\/mail \(all 2\), users…0100, users…0101/);
    expect(text).toContain('       and 3 more: rollcall ls --all-namespaces --state UNHEALTHY --state CRITICAL');
    expect(text.match(/fix {2}/g)).toHaveLength(1);
  });

  it('stay separate in the findings for programs', () => {
    expect(diagnose(manyFindings()).findings.filter(({ code }) => code === 'heartbeat-2-missing')).toHaveLength(14);
  });

  it('carry names that other commands accept', () => {
    const names = new Map([['mail-0001', 'staging/mail…0001']]);
    const { findings } = diagnose(manyFindings({ names, hasNamespaces: true }));
    expect(findings[0]).toMatchObject({ names: ['staging/mail…0001'], services: ['default/mail'], share: 1 });
    expect(findings[0]?.what).toContain('staging/mail…0001 answers Heartbeat-1');
  });

  it('end with a summary of at most three lines, when the report is long', () => {
    const out = { admin: 'MAINTENANCE', state: 'HEALTHY' } as const;
    const about = manyFindings({
      counts: new Map([['default/mail', countCallable([out, out])]]),
      registry: { ...registryFacts, insecure: true },
    });
    const lines = textOf(about).split('\n');
    expect(lines.length).toBeGreaterThan(24);
    expect(lines.slice(lines.lastIndexOf('') + 1)).toEqual([
      '✕ 16 findings about http://127.0.0.1:1337: 15 broken, 1 at risk.',
      '  No callable instance: mail.',
      '  Worst first: nobody-callable, heartbeat-2-missing 14, insecure-registry.',
    ]);
    expect(textOf(facts()).split('\n').at(-1)).not.toContain('Nothing is wrong');
  });
});

describe('the verdict', () => {
  const scope = { kind: 'service', namespace: '*', service: 'orders' } as const;

  it('names a narrow scope, and that nothing else was checked', () => {
    const [first] = textOf(facts({ scope })).split('\n');
    expect(first).toContain('● Nothing is wrong with orders (1 instance) and the registry at ');
    expect(textOf(facts({ scope })).replaceAll(/\s+/g, ' ')).toContain('Elsewhere was not looked at.');
    expect(textOf(facts({ scope: { kind: 'instances' } }))).toContain('Nothing is wrong with orders…0001 and');
    expect(textOf(facts())).not.toContain('Elsewhere');
  });
});

describe('the fix for a service that operators drained', () => {
  const away = {
    reason: 'new kernel, CHG-7',
    since: NOW - 60_000,
    untilMs: NOW + 3_600_000,
    by: 'token 3f2a from 10.0.0.7',
  };
  const id = `orders-${'0192f0c1-7a3b-7c4d-8e5f-'.repeat(4)}0001`;
  const drained = facts({
    instances: [instanceFacts({ id, admin: 'MAINTENANCE' }, { away })],
    counts: new Map([['default/orders', countCallable([{ state: 'HEALTHY', admin: 'MAINTENANCE' }])]]),
  });

  it('names the operator and the end of the plan, and advises to ask first', () => {
    expect(diagnose(drained).findings[0]?.fix[0]).toMatch(
      /^planned by token 3f2a from 10\.0\.0\.7 until .*\d\d:\d\d:\d\d \(new kernel, CHG-7\): ask first, then$/,
    );
  });

  it('keeps a whole command on a line of its own at any width', () => {
    const lines = renderDiagnosis(drained, diagnose(drained), { ...terminal, width: 40 });
    expect(lines.map((line) => line.trim())).toContain(`rollcall undrain ${id}`);
  });

  it('does not wrap a command inside a sentence', () => {
    const flappingFacts = facts({ instances: [instanceFacts({ id }, { falls: 9 })] });
    const lines = renderDiagnosis(flappingFacts, diagnose(flappingFacts), { ...terminal, width: 60 });
    expect(lines.map((line) => line.trim())).toContain(`rollcall show ${id}`);
  });
});
