import { afterEach, describe, expect, it } from 'vitest';
import { join } from 'node:path';
import { variants } from '../variants.js';
import { idsAt, register, SERVICE } from './by-hand.js';
import { openFleet } from './fleet.js';
import type { Fleet } from './fleet.js';
import { fullDisk, readOnlyDisk, thinDisk } from './small-disk.js';
import type { SmallDisk } from './small-disk.js';
import { endAll } from './spawn.js';
import { until } from './until.js';

const INTERVAL_MS = 500;
const STAYING = { a: 4, b: 4 };
const LEAVING = { a: 1 };
/** Some may fit into the last block of a file. */
const TRIES = 200;

// a healthy real disk does not return EIO: the fake one does (packages/registry/src/store/disk/disk-crash.test.ts)
const DISKS = [
  { name: 'is full', make: fullDisk, says: /the disk is full \(ENOSPC\): free some space on it/ },
  { name: 'promised room that there is not', make: thinDisk, says: /the disk is full \(ENOSPC\)|EIO/ },
  {
    name: 'turns read-only',
    make: readOnlyDisk,
    says: /the disk is mounted read-only \(EROFS\): mount it for writing/,
  },
];

/** Registers until one is refused: the problem of the refusal. */
async function refusal(fleet: Fleet, acknowledged: string[]): Promise<unknown> {
  for (let index = 0; index < TRIES; index += 1) {
    const id = `late-${index}`;
    const answer = await register(fleet.url, id);
    if (answer.status !== 201) return { status: answer.status, ...((await answer.json()) as object) };
    acknowledged.push(id);
  }
  return null;
}

describe.each(variants(DISKS, ({ name }) => name, ['is full']))('a registry whose disk $name', ({ make, says }) => {
  let disk: SmallDisk | null = null;
  afterEach(async () => {
    await endAll();
    await disk?.unmount();
  });

  it('refuses new registrations with a log line, continues everything else, and recovers without a restart', async ({
    skip,
  }) => {
    disk = await make();
    if (disk === null) return skip('needs the right to mount a disk');
    const args = ['--data', join(disk.path, 'state')];
    const fleet = await openFleet({ intervalMs: INTERVAL_MS, crowds: [STAYING, LEAVING], args });
    const [staying, leaving] = fleet.crowds;
    const brokenAt = performance.now();
    await disk.break();

    const acknowledged: string[] = [];
    expect(await refusal(fleet, acknowledged)).toMatchObject({
      status: 503,
      code: 'NOT_READY',
      detail: expect.stringContaining('cannot store'),
    });
    await until('it logs why', () => fleet.registry.err.some((line) => says.test(line)));
    // known instances are still judged and published
    leaving?.child.kill('SIGKILL');
    const [dead = ''] = leaving?.ids ?? [];
    await until('the feed publishes a death', () =>
      fleet.witness.storyOf(dead, brokenAt).at(-1)?.startsWith('REMOVED'),
    );
    expect(fleet.witness.storyOf(dead, brokenAt).at(-1)).toBe('REMOVED PROOF_OF_DEATH');
    await fleet.pass(4);
    expect(staying?.ids.flatMap((id) => fleet.witness.storyOf(id, brokenAt))).toEqual([]);
    expect((await fetch(`${fleet.url}/health/ready`)).status).toBe(200);

    await disk.repair();
    await until('it has caught up', () =>
      fleet.registry.err.some((line) => line.includes('has accepted all pending changes')),
    );
    expect((await register(fleet.url, 'in-time')).status).toBe(201);
    await fleet.restartRegistry();
    expect(await idsAt(fleet.url, SERVICE)).toEqual(new Set([...acknowledged, 'in-time']));
    expect((await idsAt(fleet.url, 'a')).has(dead)).toBe(false);
    await fleet.healthy(staying?.ids);
    await fleet.close();
  });
});
