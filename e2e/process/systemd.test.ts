import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const FOLDER = fileURLToPath(new URL('../../deploy/systemd', import.meta.url));
const UNITS = readdirSync(FOLDER).filter((name) => name.endsWith('.service'));

const hasAnalyze = spawnSync('systemd-analyze', ['--version'], { stdio: 'ignore' }).status === 0;
if (!hasAnalyze) console.warn('skipped: the check of the systemd units, since there is no systemd-analyze here');

describe.runIf(hasAnalyze)('the units in deploy/systemd', () => {
  it.each(UNITS)('systemd accepts all of %s', (name) => {
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', join(FOLDER, name)], { encoding: 'utf8' });
    expect(stderr.split('\n').filter((line) => line.includes(name))).toEqual([]);
    expect(status).toBe(0);
  });
});
