import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ERROR_CODES } from './errors.js';

const page = readFileSync(fileURLToPath(new URL('../../../../docs/ERRORS.md', import.meta.url)), 'utf8');
/** Each code with its entry, up to the next heading. */
const entries = new Map(
  [...page.matchAll(/^### (\w+)\n([\s\S]*?)(?=^##|(?![\s\S]))/gm)].map(([, code = '', text = '']) => [code, text]),
);

describe('docs/ERRORS.md', () => {
  it('has an entry for every code and no others', () => {
    expect([...entries.keys()].toSorted()).toEqual([...ERROR_CODES].toSorted());
  });

  it.each([...ERROR_CODES])(
    'states for %s the problem, the cause, the fix, whether to retry, and its HTTP status',
    (code) => {
      const entry = entries.get(code);
      expect(entry).toMatch(/^\*\*What:\*\* \S.*[.;]?\n/m);
      expect(entry).toMatch(/^\*\*Why:\*\* \S/m);
      expect(entry).toMatch(/^\*\*Do:\*\* \S/m);
      expect(entry).toMatch(/^\*\*Retryable:\*\* (yes|no|if [^.]+)\. \*\*HTTP:\*\* \d{3}\.$/m);
    },
  );

  it('states the same HTTP status for each code in its entry and in the table', () => {
    const rows = [...page.matchAll(/^\| (\d{3})[^|]*\| (.+) \|$/gm)];
    const inTable = new Map(
      rows.flatMap(([, status = '', codes = '']) => [...codes.matchAll(/`(\w+)`/g)].map(([, code]) => [code, status])),
    );
    for (const [code, entry] of entries) {
      expect([code, /\*\*HTTP:\*\* (\d{3})/.exec(entry)?.[1]]).toEqual([code, inTable.get(code) ?? '500']);
    }
  });
});
