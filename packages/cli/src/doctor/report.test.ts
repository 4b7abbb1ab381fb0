import { countCallable } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { diagnose } from './diagnose.js';
import { facts, failed, instanceFacts } from './doctor.fixture.js';
import { renderDiagnosis } from './report.js';

const URL = 'http://127.0.0.1:1337';
const absent = facts(failed('ECONNREFUSED', 'connect ECONNREFUSED 127.0.0.1:1337'));
const broken = diagnose(absent);
const terminal = { width: 100, isColoured: false, isUnicode: true };

describe('the report', () => {
  it('begins with a verdict, and has for each finding what, evidence, why, fix and entry', () => {
    expect(renderDiagnosis(absent, broken, terminal)).toEqual([
      `✕ 1 finding about ${URL}: 1 broken.`,
      '',
      '✕ No process listens at 127.0.0.1:1337.',
      '  seen asked from here: connect ECONNREFUSED 127.0.0.1:1337, 2 of 2 tries',
      '  why  Services that start now find no instances and are not found; those that run continue with',
      '         their copy.',
      '  fix  if none runs there, start one: npx rollcall up',
      '       if it runs elsewhere, set its URL: --url or ROLLCALL_URL',
      '  more docs/guide/troubleshooting.md#registry-not-listening',
      '',
      '  not checked',
      '       everything else, because the registry reports neither its own state nor instances',
    ]);
  });

  it('reports that nothing is wrong', () => {
    const lines = renderDiagnosis(facts(), diagnose(facts()), terminal);
    expect(lines[0]).toBe(`● Nothing is wrong with ${URL}, as far as can be seen from here.`);
    expect(lines.join('\n')).toMatch(/\n {2}well the registry at .* answers, in 3 ms, version 0\.1\.0\n/);
  });

  it('keeps within a narrow terminal, but for words that are longer, has colours only where they are wanted, and no sign beyond ASCII where there is none', () => {
    const narrow = renderDiagnosis(absent, broken, { ...terminal, width: 40 });
    expect(narrow.filter((line) => line.length > 40 && line.trim().split(' ').length > 2)).toEqual([]);
    expect(renderDiagnosis(absent, broken, { ...terminal, isColoured: true }).join('')).toContain(
      '\u001b[1;38;5;160m✕',
    );
    const plain = renderDiagnosis(absent, broken, { ...terminal, isUnicode: false }).join('');
    expect(plain).toMatch(/^[\x20-\x7e]+$/);
  });

  it('prints no control sequence from the network', () => {
    const evil = facts(failed('ECONNREFUSED', 'a\u001b[2Jb\nc'));
    expect(renderDiagnosis(evil, diagnose(evil), terminal).join('')).toContain('a?[2Jb?c');
  });

  it('names the part of the registry that was checked', () => {
    const part = facts({ scope: { kind: 'service', namespace: 'default', service: 'orders' } });
    const text = renderDiagnosis(part, diagnose(part), terminal).slice(0, 2).join('').replaceAll(/ +/g, ' ');
    expect(text).toBe(
      `● Nothing is wrong with orders (1 instance) and the registry at ${URL}, as far as can be seen from here. Elsewhere was not looked at.`,
    );
  });

  it('makes one entry of many findings of one code, keeps commands whole, and ends with a summary', () => {
    const many = Array.from({ length: 30 }, (_, index) =>
      instanceFacts(
        { id: `orders-${1_000 + index}`, admin: 'MAINTENANCE' },
        { away: { reason: 'disks', since: 0, untilMs: null, by: '' } },
      ),
    );
    const drained = facts({
      instances: many,
      counts: new Map([['default/orders', countCallable(many.map(({ instance }) => instance))]]),
    });
    const lines = renderDiagnosis(drained, diagnose(drained), { ...terminal, width: 60 });
    expect(lines.length).toBeLessThan(90);
    const undrain = lines.filter((line) => line.includes('rollcall undrain'));
    expect(undrain.length).toBeGreaterThan(0);
    for (const line of undrain) expect(line).toMatch(/rollcall undrain \S+/);
  });
});
