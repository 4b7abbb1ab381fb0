// `rollcall doctor` for a fleet with many problems: 200 services with 5 instances each, in every state, with open
// circuits.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDashboardFleet } from './fleet.js';
import type { DashboardFleet } from './fleet.js';

const ROLLCALL = fileURLToPath(new URL('dist/main.js', import.meta.resolve('rollcall/package.json')));
/** Three screens. The names of this fleet are as long as the protocol allows. */
const MAX_LINES = 80;

let fleet: DashboardFleet;
let whole: Awaited<ReturnType<typeof doctor>>;
beforeAll(async () => {
  fleet = await openDashboardFleet({ changes: false });
  whole = await doctor();
}, 150_000);
afterAll(() => fleet.close());

function doctor(...args: readonly string[]): Promise<{ readonly code: number; readonly lines: readonly string[] }> {
  const env = { ...process.env, NO_COLOR: '1', LC_ALL: 'C.UTF-8' };
  return new Promise((resolve) => {
    execFile(process.execPath, [ROLLCALL, 'doctor', '--url', fleet.url, ...args], { env }, (error, out) =>
      resolve({ code: error === null ? 0 : Number(error.code), lines: out.trimEnd().split('\n') }),
    );
  });
}

describe('rollcall doctor at 1,000 instances', () => {
  it('lists the problems in a few screens, the lost services first, with the verdict at both ends', () => {
    const { code, lines } = whole;
    expect(code).toBe(1);
    expect(lines.length).toBeLessThanOrEqual(MAX_LINES);
    const summary = lines.slice(lines.lastIndexOf('') + 1);
    expect(summary[0]).toBe(lines[0]);
    expect(summary.length).toBeLessThanOrEqual(3);
    const titles = lines.filter((line) => /^[✕▲◌] /.test(line));
    expect(titles[1]).toContain('No instance of default/');
    expect(titles.filter((line) => line.includes('[heartbeat-1-unanswered]'))).toHaveLength(1);
    expect(lines.join('\n')).toMatch(/at {3}default\/vouchers-cache \(all 5\), /);
  });

  it('prints complete commands, with names that they accept', async () => {
    const { lines } = whole;
    const undrain = lines.filter((line) => line.includes('rollcall undrain'));
    expect(undrain.length).toBeGreaterThan(0);
    expect(undrain.filter((line) => !/^ +rollcall undrain \S+-\d{12}$/.test(line))).toEqual([]);
    expect(lines.join('\n')).toMatch(/planned by an operator until .*\d\d:\d\d:\d\d.*: ask first/);
    const [, name = ''] = /for example (\S+…\d{4}):/.exec(lines.join('\n')) ?? [];
    expect((await doctor(name, '--no-ports')).lines[0]).toContain(`about ${name} and the registry`);
  });

  it('reports an instance whose caller keeps its circuit open', async () => {
    const { lines } = await doctor('default/sessions-worker', '--no-ports', '-o', 'json');
    const { findings } = JSON.parse(lines.join('')) as { findings: { code: string; what: string }[] };
    expect(findings).toContainEqual(
      expect.objectContaining({
        code: 'circuit-open',
        what: '2 of 2 instances of default/billing-worker keep their circuits to default/sessions-worker…0265 open. Other callers: fine.',
      }),
    );
  });
});
