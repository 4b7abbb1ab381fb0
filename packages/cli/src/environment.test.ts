import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { environmentText } from './environment.js';

function thrownBy(run: () => unknown): unknown {
  try {
    return run();
  } catch (error) {
    return error;
  }
}

describe('a failure of the environment', () => {
  it('reports the file, the reason and a fix', () => {
    expect(environmentText(thrownBy(() => readFileSync('/nowhere/at-all')))).toBe(
      'It could not be done: open "/nowhere/at-all": there is no such file or folder (ENOENT). Check the path.',
    );
    const few = Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE', syscall: 'open' });
    expect(environmentText(few)).toMatch(/may open no more files \(EMFILE\)\. .*ulimit -n/);
  });

  it('ignores any other error, which keeps its stack', () => {
    const odd = [
      new Error('x'),
      new TypeError('y'),
      Object.assign(new Error('z'), { code: 'ERR_ASSERTION' }),
      'EMFILE',
    ];
    expect(odd.map(environmentText)).toEqual([null, null, null, null]);
  });
});
