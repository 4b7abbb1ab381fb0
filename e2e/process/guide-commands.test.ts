import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { endAll, start } from './spawn.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const pages = [
  ...readdirSync(join(root, 'docs/guide')).map((name) => `docs/guide/${name}`),
  ...readdirSync(join(root, 'packages')).map((name) => `packages/${name}/README.md`),
];

/** Every line that docs/guide and the READMEs of the packages tell you to type, without trailing `#` comments. */
const typed = pages.flatMap((page) =>
  [...readFileSync(join(root, page), 'utf8').matchAll(/```sh\n([\s\S]*?)\n```/g)].flatMap(([, text = '']) =>
    text
      .split('\n')
      .map((line) => ({ page, words: line.replace(/\s+#.*$/, '').split(/\s+/) }))
      .filter(({ words }) => words[0] !== '' && words[0] !== '#'),
  ),
);
const commandsOf = (...programs: readonly string[]): typeof typed =>
  typed.filter(({ words }) => programs.includes(words.find((word) => !word.includes('=')) ?? ''));

describe('the commands of the guide', () => {
  afterAll(endAll);

  it('are found by this test', () => {
    const ofSystem = ['curl', 'kill', 'openssl', 'cp', 'mv', 'cat', 'touch', 'printf', 'sudo', 'journalctl'];
    const known = commandsOf('npx', 'node', 'npm', 'pnpm', 'docker', 'kubectl', ...ofSystem);
    expect(typed.filter((line) => !known.includes(line))).toEqual([]);
    expect(typed.length).toBeGreaterThan(5);
  });

  it('use existing commands and flags of rollcall', async () => {
    const ofImage = commandsOf('docker').filter(({ words }) => words.includes('registry'));
    const lines = [
      ...commandsOf('npx').map(({ words }) => words.slice(words.indexOf('npx') + 1)),
      // `run` begins with the arguments of the program, `exec` with the program
      ...ofImage.map(({ words }) => {
        const rest = words.slice(words.indexOf('registry') + 1);
        return rest[0] === 'rollcall' ? rest : ['rollcall', ...rest];
      }),
      ...commandsOf('sudo').flatMap(({ words }) =>
        words.lastIndexOf('rollcall') > words.indexOf('rollcall') ? [words.slice(words.lastIndexOf('rollcall'))] : [],
      ),
    ];
    expect(lines.length).toBeGreaterThan(2);
    for (const [program, command = '', ...rest] of lines) {
      expect(program).toBe('rollcall');
      const help = start('rollcall', [command, '--help']);
      expect(await help.exited).toMatchObject({ code: 0 });
      for (const flag of rest.filter((word) => word.startsWith('-'))) expect(help.out.join('\n')).toContain(flag);
    }
  });

  it('name existing programs, scripts and files', () => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: object };
    for (const { words } of commandsOf('npm')) {
      const script = words.at(1) === 'run' ? words.at(2)! : words.at(1)!;
      if (script !== 'install') expect(Object.keys(scripts)).toContain(script);
    }
    const files = typed.flatMap(({ words }) => words.filter((word) => /^(examples|deploy)\/[^.]/.test(word)));
    expect(files.length).toBeGreaterThan(2);
    // started files are built from a source
    for (const file of files) {
      expect(existsSync(join(root, file.replace('/dist/', '/src/').replace(/\.js$/, '.ts')))).toBe(true);
    }
  });
});
