import { ManualTime, seededRandom } from '@rollcall/core/testing';
import { silentLog } from '@rollcall/core';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { storedInstance, storedTombstone } from '../contract.js';
import { Kept } from '../kept.js';
import type { Contents, Write } from '../store.js';
import { storeOf } from './disk.fixture.js';
import type { DiskStore } from './disk.js';
import { FakeDisk } from './fake-disk.fixture.js';
import type { End, Fault } from './fake-disk.fixture.js';

/** A step of a store; the next one begins once this one has taken effect, or before. */
type Step =
  | { readonly calls: readonly (readonly Write[])[] }
  | { readonly faults: readonly Fault[] }
  | { readonly passMs: number };

interface Life {
  readonly steps: readonly Step[];
  /** The life ends with this operation of the disk; Infinity: when all steps are done. */
  readonly endsAt: number;
  readonly end: End | 'close';
}

/** A call, and its result. */
interface Call {
  readonly writes: readonly Write[];
  fate: 'open' | 'kept' | 'refused';
}

/** Calls on a disk through several lives, and the possible contents of each. */
class Lives {
  readonly time = new ManualTime();
  readonly #random: ReturnType<typeof seededRandom>;
  readonly disk: FakeDisk;
  /** One of these is on the disk. */
  #possible: readonly string[] = [keyOf(new Kept().contents())];
  #pid = 0;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
    this.disk = new FakeDisk(this.#random);
  }

  async live({ steps, endsAt, end }: Life): Promise<void> {
    this.disk.endsAt = endsAt;
    const store = this.#store();
    const loading = store.load();
    loading.catch(() => undefined);
    await this.time.advanceBy(4_000);
    const loaded = await settled(loading);
    if (endsAt === Infinity) expect(loaded).not.toBeNull();
    if (loaded !== null) {
      expect(this.#possible).toContain(keyOf(loaded));
      const calls: Call[] = [];
      for (const step of steps) await this.#step(store, step, calls);
      await this.#finish(store, end);
      this.#possible = possibleAfter(loaded, calls, this.disk.refusedTakeBack);
    }
    this.disk.end(end === 'power' ? 'power' : 'kill');
  }

  async #step(store: DiskStore, step: Step, calls: Call[]): Promise<void> {
    if ('faults' in step) this.disk.faults.push(...step.faults);
    else if ('passMs' in step) await this.time.advanceBy(step.passMs);
    else {
      for (const writes of step.calls) {
        const call: Call = { writes, fate: 'open' };
        calls.push(call);
        store.write(writes).then(
          () => (call.fate = 'kept'),
          () => (call.fate = 'refused'),
        );
      }
    }
  }

  async #finish(store: DiskStore, end: Life['end']): Promise<void> {
    if (end !== 'close') return;
    void store.close();
    await this.time.advanceBy(0);
  }

  #store(): DiskStore {
    this.#pid += 1;
    return storeOf({
      folder: this.disk.mount(),
      time: this.time,
      random: this.#random,
      log: silentLog,
      pid: this.#pid,
    });
  }
}

/**
 * The contents with all that was kept and any prefix of the open calls, without refused ones unless the disk refused to
 * remove them.
 */
function possibleAfter(before: Contents, calls: readonly Call[], refusedTakeBack: boolean): readonly string[] {
  const lastKept = calls.findLastIndex(({ fate }) => fate === 'kept');
  const certain = calls.slice(0, lastKept + 1).filter(({ fate }) => fate === 'kept');
  const later = calls.slice(lastKept + 1);
  const open = later.filter(({ fate }) => fate === 'open');
  // refused ones were cut off before and after that one
  const stuck = refusedTakeBack ? later.flatMap((_, from) => firstParts(later.slice(from))) : [];
  return [...firstParts(open), ...stuck].map((found) => {
    const kept = new Kept();
    for (const put of before.instances) kept.apply({ put });
    for (const bury of before.tombstones) kept.apply({ bury });
    for (const { writes } of [...certain, ...found]) for (const write of writes) kept.apply(write);
    return keyOf(kept.contents());
  });
}

function firstParts<Item>(items: readonly Item[]): readonly (readonly Item[])[] {
  return Array.from({ length: items.length + 1 }, (_, count) => items.slice(0, count));
}

function keyOf({ instances, tombstones }: Contents): string {
  const words = [
    ...instances.map(({ record }) => `${record.id}@${record.revision}`),
    ...tombstones.map(({ id, revision }) => `${id}†${revision}`),
  ];
  return words.toSorted().join(' ');
}

/** Null while it is under way. Throws what it rejected with. */
async function settled<Value>(promise: Promise<Value>): Promise<Value | null> {
  return Promise.race([promise, Promise.resolve(null)]);
}

const ids = fc.constantFrom('a', 'b', 'c', 'd', 'e');
const revisions = fc.nat(1_000_000);
const writes: fc.Arbitrary<Write> = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(ids, revisions).map(([id, revision]) => ({ put: storedInstance(id, revision) })) },
  { weight: 2, arbitrary: fc.tuple(ids, revisions).map(([id, revision]) => ({ bury: storedTombstone(id, revision) })) },
  { weight: 1, arbitrary: ids.map((id) => ({ forget: id })) },
);
const faults: fc.Arbitrary<Fault> = fc.record({
  verb: fc.constantFrom(
    'append',
    'append',
    'sync',
    'sync',
    'sync-folder',
    'create',
    'rename',
    'truncate',
    'remove',
    'list',
    'touch',
  ),
  code: fc.constantFrom('ENOSPC', 'EIO', 'EROFS'),
});
const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      calls: fc.array(fc.array(writes, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ passMs: fc.constantFrom(0, 0, 0, 1_000, 3_000) }) },
  { weight: 2, arbitrary: fc.record({ faults: fc.array(faults, { minLength: 1, maxLength: 3 }) }) },
);
const lives: fc.Arbitrary<Life> = fc.record({
  steps: fc.array(steps, { maxLength: 20 }),
  endsAt: fc.oneof(fc.constant(Infinity), fc.nat(150)),
  end: fc.constantFrom('kill', 'power', 'close'),
});

it('keeps what it acknowledged, and a prefix of the rest, through any crash of process or power and any failure of the disk', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(lives, { minLength: 1, maxLength: 5 }), fc.nat(), async (all, seed) => {
      const fixture = new Lives(seed);
      for (const life of all) await fixture.live(life);
      await fixture.live({ steps: [], endsAt: Infinity, end: 'close' });
    }),
    { numRuns: 300 },
  );
});
