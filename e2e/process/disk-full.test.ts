import { afterEach, describe, expect, it } from 'vitest';
import { join } from 'node:path';
import { variants } from '../variants.js';
import { fetchIds, register, SERVICE } from './plain-requests.js';
import { openFleet } from './fleet.js';
import type { Fleet } from './fleet.js';
import { fullDisk, readOnlyDisk, thinDisk } from './small-disk.js';
import type { SmallDisk } from './small-disk.js';
import { endAll } from './spawn.js';
import { waitFor } from './wait-for.js';

const INTERVAL_MS = 500;
const STAYING_GROUP = { a: 4, b: 4 };
const LEAVING_GROUP = { a: 1 };
/** Some may fit into the last block of a file. */
const MAX_TRIES = 200;

// a healthy real disk does not return EIO: the fake one does (packages/registry/src/store/disk/disk-crash.test.ts)
const DISKS = [
  { name: 'is full', make: fullDisk, errorText: /the disk is full \(ENOSPC\): free some space on it/ },
  { name: 'promised room that there is not', make: thinDisk, errorText: /the disk is full \(ENOSPC\)|EIO/ },
  {
    name: 'turns read-only',
    make: readOnlyDisk,
    errorText: /the disk is mounted read-only \(EROFS\): mount it for writing/,
  },
];

/** Registers until one is refused: the problem of the refusal. */
async function registerUntilRefused(fleet: Fleet, acknowledged: string[]): Promise<unknown> {
  for (let index = 0; index < MAX_TRIES; index += 1) {
    const id = `late-${index}`;
    const answer = await register(fleet.url, id);
    if (answer.status !== 201) return { status: answer.status, ...((await answer.json()) as object) };
    acknowledged.push(id);
  }
  return null;
}

describe.each(variants(DISKS, ({ name }) => name, ['is full']))(
  'a registry whose disk $name',
  ({ make, errorText }) => {
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
      const fleet = await openFleet({ intervalMs: INTERVAL_MS, groups: [STAYING_GROUP, LEAVING_GROUP], args });
      const [staying, leaving] = fleet.groups;
      const brokenAt = performance.now();
      await disk.break();

      const acknowledged: string[] = [];
      expect(await registerUntilRefused(fleet, acknowledged)).toMatchObject({
        status: 503,
        code: 'NOT_READY',
        detail: expect.stringContaining('cannot store'),
      });
      await waitFor('it logs why', () => fleet.registry.err.some((line) => errorText.test(line)));
      // known instances are still judged and published
      leaving?.child.kill('SIGKILL');
      const [dead = ''] = leaving?.ids ?? [];
      await waitFor('the feed publishes a death', () =>
        fleet.witness.historyOf(dead, brokenAt).at(-1)?.startsWith('REMOVED'),
      );
      expect(fleet.witness.historyOf(dead, brokenAt).at(-1)).toBe('REMOVED PROOF_OF_DEATH');
      await fleet.waitIntervals(4);
      expect(staying?.ids.flatMap((id) => fleet.witness.historyOf(id, brokenAt))).toEqual([]);
      expect((await fetch(`${fleet.url}/health/ready`)).status).toBe(200);

      await disk.repair();
      await waitFor('it has caught up', () =>
        fleet.registry.err.some((line) => line.includes('has accepted all pending changes')),
      );
      expect((await register(fleet.url, 'in-time')).status).toBe(201);
      await fleet.restartRegistry();
      expect(await fetchIds(fleet.url, SERVICE)).toEqual(new Set([...acknowledged, 'in-time']));
      expect((await fetchIds(fleet.url, 'a')).has(dead)).toBe(false);
      await fleet.waitUntilHealthy(staying?.ids);
      await fleet.close();
    });
  },
);
