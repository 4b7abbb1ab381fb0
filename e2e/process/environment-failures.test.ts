// When the environment refuses a command (files, permissions, space), it prints a sentence with what to do, and never a
// stack.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { startRegistry, urlOf } from './plain-requests.js';
import { launch } from './launch.js';
import { fullDisk } from './small-disk.js';
import { endAll, PROGRAMS } from './spawn.js';

const folder = mkdtempSync(join(tmpdir(), 'rollcall-environment-'));
afterAll(async () => {
  await endAll();
  rmSync(folder, { recursive: true });
});

interface Ran {
  readonly code: number | null;
  readonly output: string;
}

/** Runs `rollcall` behind a piece of shell: `ulimit -n 22; exec "$@"`. */
async function runBehindShell(shell: string, ...args: readonly string[]): Promise<Ran> {
  const child = launch('sh', ['-c', shell, 'sh', process.execPath, PROGRAMS.rollcall, ...args]);
  const { code } = await child.exited;
  return { code, output: [...child.out, ...child.err].join('\n') };
}

function isSentence({ output }: Ran): boolean {
  return !/^ {4}at |node:internal|Error: /m.test(output);
}

describe.runIf(process.platform === 'linux')('a command that the environment restricts', () => {
  it.each([22, 30])('reports that it may not open more than %i files', async (files) => {
    for (const args of [['ls'], ['doctor'], ['up', '--memory', '--port', '0'], ['token', 'list']]) {
      const result = await runBehindShell(
        `ulimit -n ${files}; exec "$@"`,
        ...args,
        ...(args[0] === 'ls' ? ['--url', 'http://127.0.0.1:1'] : []),
      );
      expect(result).toMatchObject({
        code: 1,
        output: expect.stringMatching(/^rollcall.*open no more files \(EMFILE\).*ulimit -n/),
      });
      expect(result).toSatisfy(isSentence);
    }
  });

  it('reports that there is no space for its output', async () => {
    const url = await urlOf(startRegistry(60_000, ['--memory']));
    for (const args of [['help'], ['ls', '--url', url, '-o', 'json'], ['doctor', '--url', url]]) {
      const result = await runBehindShell('exec "$@" > /dev/full', ...args);
      expect(result).toMatchObject({ code: 1, output: expect.stringMatching(/no room left.*\(ENOSPC\).*df -h/) });
      expect(result).toSatisfy(isSentence);
    }
  });

  it('reports that a disk is full', async () => {
    const disk = await fullDisk();
    if (disk === null) {
      console.warn('skipped: tokens on a full disk, since this user may not mount one');
      return;
    }
    try {
      await disk.break();
      const token = ['token', 'create', '--role', 'reader', '--tokens', join(disk.path, 'below', 'tokens.json')];
      for (const args of [token, ['up', '--port', '0', '--data', join(disk.path, 'data')]]) {
        const result = await runBehindShell('exec "$@"', ...args);
        expect(result).toMatchObject({ code: 1, output: expect.stringMatching(/full|ENOSPC/) });
        expect(result).toSatisfy(isSentence);
      }
    } finally {
      await disk.unmount();
    }
  });

  it('reports files that are folders, are missing, or may not be read', async () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    const pem = ['--cert-file', folder, '--key-file', folder, '--url', 'https://127.0.0.1:1'];
    const cases = [
      ['token', 'list', '--tokens', folder],
      ['token', 'create', '--role', 'reader', '--tokens', join(file, 'tokens.json')],
      ['up', '--port', '0', '--data', join(file, 'data')],
      ['up', '--port', '0', '--memory', '--tokens', '/proc/self/mem'],
      ['up', '--port', '0', '--memory', '--tls-cert', folder, '--tls-key', folder],
      ['ls', '--ca-file', folder, '--url', 'https://127.0.0.1:1'],
      ['ls', ...pem],
      ['doctor', ...pem],
      ['doctor', '--ca-file', join(folder, 'nothing.pem'), '--url', 'https://127.0.0.1:1'],
    ];
    for (const args of cases) {
      const result = await runBehindShell('exec "$@"', ...args);
      expect([result.code, result.output]).toEqual([
        expect.toSatisfy((code) => code === 1 || code === 2),
        expect.stringMatching(/^rollcall /m),
      ]);
      expect(result).toSatisfy(isSentence);
    }
  });
});
