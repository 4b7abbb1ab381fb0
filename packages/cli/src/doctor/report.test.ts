import { describe, expect, it } from 'vitest';
import { judge } from './diagnose.js';
import { facts, failed } from './doctor.fixture.js';
import { renderDiagnosis } from './report.js';

const URL = 'http://127.0.0.1:1337';
const unreached = facts(failed('ECONNREFUSED', 'connect ECONNREFUSED 127.0.0.1:1337'));
const broken = judge(unreached);
const terminal = { width: 100, isColoured: false, isUnicode: true };

describe('the report', () => {
  it('begins with a verdict, and tells of each finding what, evidence, why, fix and entry', () => {
    expect(renderDiagnosis(unreached, broken, terminal)).toEqual([
      `✕ 1 finding about ${URL}: 1 broken.`,
      '',
      '✕ Nobody listens at 127.0.0.1:1337.',
      '  seen asked from here: connect ECONNREFUSED 127.0.0.1:1337, 2 of 2 tries',
      '  why  Services that start now find nobody and are found by nobody; those that run go on with the',
      '         copy they have.',
      '  fix  if none runs there, start one: npx rollcall up',
      '       if it runs elsewhere, say where: --url or ROLLCALL_URL',
      '  more docs/guide/troubleshooting.md#registry-not-listening',
      '',
      '  not checked',
      '       everything else, because the registry does not tell of itself or of anybody',
    ]);
  });

  it('says so where nothing is wrong', () => {
    const lines = renderDiagnosis(facts(), judge(facts()), terminal);
    expect(lines[0]).toBe(`● Nothing is wrong with ${URL}, as far as can be seen from here.`);
    expect(lines.join('\n')).toMatch(/\n {2}well the registry at .* answers, in 3 ms, version 0\.1\.0\n/);
  });

  it('keeps within a narrow terminal, but for words that are longer, has colours only where they are wanted, and no sign beyond ASCII where there is none', () => {
    const narrow = renderDiagnosis(unreached, broken, { ...terminal, width: 40 });
    expect(narrow.filter((line) => line.length > 40 && line.trim().split(' ').length > 2)).toEqual([]);
    expect(renderDiagnosis(unreached, broken, { ...terminal, isColoured: true }).join('')).toContain(
      '\u001b[1;38;5;160m✕',
    );
    const plain = renderDiagnosis(unreached, broken, { ...terminal, isUnicode: false }).join('');
    expect(plain).toMatch(/^[\x20-\x7e]+$/);
  });

  it('lets nothing from the network steer the terminal', () => {
    const evil = judge(facts(failed('ECONNREFUSED', 'a\u001b[2Jb\nc')));
    expect(renderDiagnosis(unreached, evil, terminal).join('')).toContain('a?[2Jb?c');
  });
});
