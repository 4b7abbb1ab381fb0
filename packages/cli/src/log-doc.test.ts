import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { logSites } from './log-lines.fixture.js';
import type { LogSite } from './log-lines.fixture.js';

const packages = fileURLToPath(new URL('../..', import.meta.url));
const PAGE = readFileSync(fileURLToPath(new URL('../../../docs/guide/logs.md', import.meta.url)), 'utf8');

/**
 * Lines whose text is made elsewhere than in the call: as the page has them. Empty: the text of another line, which is
 * found by itself.
 */
const DYNAMIC_LINES: Readonly<Record<string, readonly string[]>> = {
  'client/src/discovery/cache.ts problem': [
    'The cache of the services cannot be written in …: …. Calls continue; a start without a registry uses the old cache.',
  ],
  'client/src/registry-client/connection-status.ts this.#missedText(connectError, connectError ?? why)': [
    'The registry at … does not answer (…). Calls continue with the known instances; trying again.',
    'no registry at …: run `npx rollcall up`, or set ROLLCALL_URL',
    'The registry at … cannot be reached: … Trying again.',
  ],
  'client/src/discovery/feed-stream.ts text': [
    'The change feed of "…" does not follow the protocol; it is watched again.',
    'The registry refuses the change feed: …',
    'The change feed delivers no data: something between here and the registry at …, such as a proxy, seems to buffer streams. Services are polled instead, and this process cannot keep its line to the registry open.',
  ],
  'client/src/discovery/feed.ts text': ['The answer of the registry about "…" is rejected: it is too large.'],
  'client/src/registration/own-state.ts this.#textOf(answer, before)': [
    '… is … (was …): …. Next: … in … s, unless it ….',
  ],
  "client/src/registration/own-state.ts state === 'HEALTHY' ? this.#healthyText() : this.#textOf(answer, null)": [
    '… is HEALTHY.',
    '… is ….',
  ],
  'client/src/registration/registration.ts removedText(this.#identity.name, reason)': ['The registry removed …: …'],
  'client/src/registration/registration.ts refusalText(this.#identity.name, problem)': ['The registry refuses …: …'],
  'registry/src/metrics/status.ts ….': [
    'Self-preservation holds …: ….',
    'Self-preservation no longer holds …, after … s.',
  ],
  'registry/src/embed.ts text': [],
  'registry/src/embed.ts this.#running === null ? `Joined the registry at ${this.url}.` : `This process serves the registry at ${this.url}.`':
    ['Joined the registry at ….', 'This process serves the registry at ….'],
  'registry/src/embed.ts failure': ['<why no registry can be embedded here>'],
  'registry/src/http/exchange/problem.ts … failed: …': ['<method> <route> failed: <stack>'],
  'registry/src/http/start.ts text': ['… need … and may have …: enough for …. … See docs/SIZING.md.'],
  'registry/src/lifecycle/engine.ts … … → …: …': ['<instance> <state> → <state>: …'],
  'registry/src/registration/overrides.ts …: …': ['<instance>: … by an operator …'],
  'registry/src/access/refusals.ts Refused: …': ['Refused: …'],
  'registry/src/access/token-file.ts … Until then the tokens that were read last apply.': [
    '<why the tokens cannot be read> Until then the tokens that were read last apply.',
  ],
  'registry/src/runtime/throttled-log.ts this.#suppressed === 0 ? text : `${text} (${this.#suppressed} times more since it was last logged.)`':
    [],
  'registry/src/store/disk/journal.ts messageOf(this.#ports.folder, error)': [
    '… does not take writes: …. They work again as soon as the disk does.',
  ],
  'registry/src/store/disk/group-commit.ts error.message': ['<STORE_FAILED: what is wrong with the folder>'],
  'registry/src/access/token-expiry.ts textOf(soon, wall, this.#path)': [
    'A token expires soon: …. Create new ones and distribute them before then: rollcall token create --tokens ….',
  ],
};

const keyOf = ({ file, line, expression }: LogSite): string => `${file} ${line ?? expression}`;

const SITES = logSites(packages, ['client', 'registry']);
const CODE = logSites(packages, ['core', 'client', 'registry']).flatMap((site) => {
  const lines = DYNAMIC_LINES[keyOf(site)] ?? (site.line === null ? [`?? ${keyOf(site)}`] : [site.line]);
  return lines.map((line) => `${site.level}: ${line}`);
});

/** The rows of the page: level, line, what it means, what to do. */
const ROWS = PAGE.split('\n').flatMap((row) => {
  const [, level = '', line = '', means = '', todo = ''] =
    /^\| (debug|info|warn|error) \| `{1,2} ?(.+?) ?`{1,2} \| (.*) \| (.*) \|$/.exec(row) ?? [];
  return level === '' ? [] : [{ line: `${level}: ${line}`, means, todo }];
});

describe('docs/guide/logs.md', () => {
  it('lists every line that the registry and the client write, and no other', () => {
    const onPage = new Set(ROWS.map(({ line }) => line));
    // a line that is missing, or an expression that MADE_ELSEWHERE has to explain
    expect([...new Set(CODE)].filter((line) => !onPage.has(line))).toEqual([]);
    expect([...onPage].filter((line) => !CODE.includes(line))).toEqual([]);
  });

  it('explains each line and its fix', () => {
    for (const { line, means, todo } of ROWS) {
      expect(means.length, line).toBeGreaterThan(10);
      expect(todo, line).toMatch(/\S/);
    }
    expect(ROWS.length).toBeGreaterThan(80);
  });
});

describe('the search for lines in the code', () => {
  it('finds every expression that is explained here, so that none of them outlives its line', () => {
    const known = new Set(logSites(packages, ['core', 'client', 'registry']).map(keyOf));
    expect(Object.keys(DYNAMIC_LINES).filter((key) => !known.has(key))).toEqual([]);
  });

  it('finds them in many files, at every level', () => {
    expect(new Set(SITES.map(({ file }) => file)).size).toBeGreaterThan(35);
    expect([...new Set(SITES.map(({ level }) => level))].toSorted()).toEqual(['debug', 'error', 'info', 'warn']);
  });
});
