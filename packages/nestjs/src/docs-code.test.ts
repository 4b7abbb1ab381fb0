import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

// The code that docs/guide and the README of each package show is taken from files that tests run. Above each block
// stands where it is from:   <!-- from: examples/tcp/src/main.ts -->            the whole file   <!-- from:
// e2e/process/some.test.ts#deadline -->   from the line `// #region deadline` to the next `// #endregion` UPDATE_DOCS=1
// updates the blocks.

const root = fileURLToPath(new URL('../../..', import.meta.url));
const GUIDE = 'docs/guide';
const packages = readdirSync(join(root, 'packages')).map((name) => `packages/${name}/README.md`);
const pages = [...readdirSync(join(root, GUIDE)).map((name) => `${GUIDE}/${name}`), 'docs/README.md', ...packages];

/** Files that run in tests: e2e/process/{examples,deploy,guide-…}.test.ts start or hold all of these. */
const RUN_BY_A_TEST = [
  /^examples\/(tcp|http|grpc|hybrid)\/(src\/)?[a-z]+\.(ts|proto)$/,
  /^e2e\/process\/guide-[a-z]+\.test\.ts$/,
  /^deploy\/(k8s\/[a-z]+|compose)\.yaml$/,
  /^deploy\/prometheus\/[a-z]+\.yml$/,
  // packages/cli/src/systemd.test.ts
  /^deploy\/systemd\/[a-z-]+\.service$/,
  /^deploy\/proxy\/(nginx\.conf|traefik\.yaml)$/,
];
/** Terminal commands, which e2e/process/guide-commands.test.ts tests. */
const SPOKEN = new Set(['sh']);

/** Generated blocks, which the generating test compares. */
const GENERATED = /<!-- generated: [\w-]+ -->\n[\s\S]*?<!-- end -->/g;

const MARK = /^\s*(?:\/\/|#) #(?:region|endregion)\b/;
const BLOCK = /(?:<!-- from: (?<source>\S+) -->\n)?^(?<fence>```(?<language>\w*)\n)(?<code>(?:.*\n)*?)^```$/gm;

interface Block {
  readonly page: string;
  readonly source: string | undefined;
  readonly language: string;
  readonly code: string;
}

function blocksOf(page: string): readonly Block[] {
  const text = readFileSync(join(root, page), 'utf8').replaceAll(GENERATED, '');
  return [...text.matchAll(BLOCK)].map(({ groups = {} }) => ({
    page,
    source: groups['source'],
    language: groups['language'] ?? '',
    code: groups['code']?.trimEnd() ?? '',
  }));
}

/** The required text of a block. Throws if the file or the region does not exist. */
function codeOf(source: string): string {
  const [path = '', region] = source.split('#');
  const lines = readFileSync(join(root, path), 'utf8').trimEnd().split('\n');
  const isMarked = (line: string): boolean => region === line.split('#region ')[1]?.trim();
  const first = region === undefined ? 0 : lines.findIndex(isMarked) + 1;
  if (region !== undefined && first === 0) throw new Error(`${path} has no region ${region}`);
  const after = lines.findIndex((line, index) => index >= first && region !== undefined && /#endregion\b/.test(line));
  const chosen = lines.slice(first, after === -1 ? lines.length : after).filter((line) => !MARK.test(line));
  const indents = chosen.filter((line) => line !== '').map((line) => line.length - line.trimStart().length);
  return chosen.map((line) => line.slice(Math.min(...indents))).join('\n');
}

if (process.env['UPDATE_DOCS'] === '1') {
  for (const page of pages) {
    const text = readFileSync(join(root, page), 'utf8');
    const replaced = text.replace(BLOCK, (all: string, source: string | undefined, fence: string) =>
      source === undefined ? all : `<!-- from: ${source} -->\n${fence}${codeOf(source)}\n\`\`\``,
    );
    writeFileSync(join(root, page), replaced);
  }
}

const blocks = pages.flatMap(blocksOf);

describe('the code in docs/guide', () => {
  it('names its source, which a test runs', () => {
    const code = blocks.filter(({ language }) => !SPOKEN.has(language));
    expect(code.length).toBeGreaterThan(15);
    const strange = code.filter(({ source }) => !RUN_BY_A_TEST.some((file) => file.test(source?.split('#')[0] ?? '')));
    expect(strange.map(({ page, source, code: text }) => ({ page, source, text }))).toEqual([]);
  });

  it.each(blocks.filter(({ source }) => source !== undefined))('$source is quoted verbatim in $page', (block) => {
    expect(block.code).toBe(codeOf(block.source!));
  });
});

describe('the links in docs', () => {
  const links = [...pages, 'README.md'].flatMap((page) =>
    [...readFileSync(join(root, page), 'utf8').matchAll(/\]\((?!https?:|#)([^)#\s]*)(?:#([^)\s]*))?\)/g)].map(
      ([, path = '', anchor]) => ({ page, path, anchor }),
    ),
  );

  it.each(links)('$page: $path#$anchor leads somewhere', ({ page, path, anchor }) => {
    const target = path === '' ? join(root, page) : join(dirname(join(root, page)), path);
    expect(existsSync(target)).toBe(true);
    if (anchor === undefined) return;
    const headings = readFileSync(target, 'utf8').match(/^#+ .*$/gm) ?? [];
    expect(headings.map(anchorOf)).toContain(anchor);
  });

  it('every page of the guide is in the index, and the index in the README', () => {
    const index = links.filter(({ page }) => page === 'docs/README.md').map(({ path }) => path);
    const guide = pages.filter((page) => page.startsWith(GUIDE)).map((page) => page.replace('docs/', ''));
    expect(guide.filter((page) => !index.includes(page))).toEqual([]);
    expect(links).toContainEqual(expect.objectContaining({ page: 'README.md', path: 'docs/README.md' }));
  });
});

describe('the pictures in docs', () => {
  const shown = [...pages, 'README.md'].flatMap((page) =>
    [...readFileSync(join(root, page), 'utf8').matchAll(/\b(?:src|srcset)="([^":]+)"/g)].map(([, path = '']) =>
      join(dirname(page), path),
    ),
  );
  const there = readdirSync(join(root, 'docs/images')).map((name) => join('docs/images', name));

  it('match the existing files', () => {
    expect([...new Set(shown)].toSorted()).toEqual(there.toSorted());
  });

  it.each(there)('%s is small', (path) => {
    expect(statSync(join(root, path)).size).toBeLessThanOrEqual(150 * 1024);
  });
});

/** As GitHub makes them. */
function anchorOf(heading: string): string {
  return heading
    .replace(/^#+ /, '')
    .toLowerCase()
    .replaceAll(/[^\p{Letter}\p{Number}\s_-]/gu, '')
    .replaceAll(' ', '-');
}
