import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Change, Following, GuardedWrite, Item, ClusterStore } from './cluster-store.js';

/** The access of the suite to one implementation. */
export interface ClusterStoreFixture {
  /** Opens another connection to the same data, which the test or the fixture closes. */
  open(): Promise<ClusterStore>;
  /** Lets this much time pass, ms. */
  pass(ms: number): Promise<void>;
  /** Forgets the changes up to this revision. */
  compact(revision: number): Promise<void>;
  /** Ends the lease of this key from outside. */
  revoke(key: string): Promise<void>;
  close(): Promise<void>;
}

const POLL_MS = 20;
const TRIES = 1_000;

/** Records everything that one follower receives. */
class Recorder {
  readonly revisions: number[] = [];
  readonly view = new Map<string, Item>();
  readonly changeCounts: number[] = [];
  alive = 0;
  isLost = false;
  changes(revision: number, changes: readonly Change[]): void {
    this.revisions.push(revision);
    this.changeCounts.push(changes.length);
    for (const change of changes) {
      if ('put' in change) this.view.set(change.put.key, change.put);
      else this.view.delete(change.deleted);
    }
  }
  live(): void {
    this.alive += 1;
  }
  lost(): void {
    this.isLost = true;
  }
  sink() {
    return {
      changes: (revision: number, changes: readonly Change[]) => this.changes(revision, changes),
      alive: () => this.live(),
      lost: () => this.lost(),
    };
  }
}

const put = (key: string, value: string, guards: GuardedWrite['guards'] = []): GuardedWrite => ({
  guards,
  puts: [{ key, value }],
  deletes: [],
  read: key,
});

/** The contract of every `ClusterStore`. `make` is called once. */
export function describeClusterStore(name: string, make: () => Promise<ClusterStoreFixture>): void {
  describe(`the contract of a shared store: ${name}`, () => {
    let fixture: ClusterStoreFixture;
    let store: ClusterStore;
    beforeAll(async () => {
      fixture = await make();
    });
    afterAll(() => fixture?.close());
    beforeEach(async () => {
      store = await fixture.open();
      const { items } = await store.list();
      for (let at = 0; at < items.length; at += 100) {
        const deletes = items.slice(at, at + 100).map(({ key }) => key);
        await store.write([{ guards: [], puts: [], deletes }]);
      }
    });

    const until = async (isTrue: () => boolean): Promise<void> => {
      for (let tries = 0; tries < TRIES && !isTrue(); tries += 1) await fixture.pass(POLL_MS);
      expect(isTrue()).toBe(true);
    };
    const context = { fixture: () => fixture, store: () => store, until };
    itWrites(context);
    itLimitsWrites(context);
    itFollows(context);
    itReportsCompaction(context);
    itKeepsLeases(context);
    itCloses(context);
  });
}

interface Context {
  readonly fixture: () => ClusterStoreFixture;
  readonly store: () => ClusterStore;
  readonly until: (isTrue: () => boolean) => Promise<void>;
}

function itWrites({ store }: Context): void {
  it('lists the written items, sorted by key, with their revisions', async () => {
    const first = await store().write([put('b', '1'), put('é', 'ü\u{1f600}')]);
    const second = await store().write([put('a', '2'), put('b', '3')]);
    expect(second.revision).toBe(first.revision + 1);
    expect(await store().list()).toEqual({
      revision: second.revision,
      items: [
        { key: 'a', value: '2', revision: second.revision, createdAt: second.revision },
        { key: 'b', value: '3', revision: second.revision, createdAt: first.revision },
        { key: 'é', value: 'ü\u{1f600}', revision: first.revision, createdAt: first.revision },
      ],
    });
  });

  it('applies each write of a request by itself, and returns the item that a refused one reads', async () => {
    const { revision } = await store().write([put('a', '1'), put('b', '1')]);
    const answer = await store().write([
      put('a', '2', [{ key: 'a', revision }]),
      put('b', '2', [{ key: 'b', revision: revision - 1 }]),
      put('c', '2', [{ key: 'c', revision: 0 }]),
      put('d', '2', [{ key: 'd', createdAt: revision }]),
    ]);
    expect(answer).toEqual({
      revision: revision + 1,
      outcomes: [
        { taken: true },
        { taken: false, found: { key: 'b', value: '1', revision, createdAt: revision } },
        { taken: true },
        { taken: false, found: null },
      ],
    });
    expect((await store().list()).items.map(({ key, value }) => key + value)).toEqual(['a2', 'b1', 'c2']);
  });

  it('checks all guards before it applies a write', async () => {
    const { outcomes } = await store().write([
      put('a', '1', [{ key: 'b', revision: 0 }]),
      put('b', '1', [{ key: 'a', revision: 0 }]),
    ]);
    expect(outcomes).toEqual([{ taken: true }, { taken: true }]);
  });

  it('distinguishes a key that was created again by createdAt', async () => {
    const { revision } = await store().write([put('a', '1')]);
    await store().write([put('a', '2', [{ key: 'a', createdAt: revision }])]);
    await store().write([{ guards: [], puts: [], deletes: ['a'] }]);
    await store().write([put('a', '3')]);
    const { outcomes } = await store().write([put('a', '4', [{ key: 'a', createdAt: revision }])]);
    expect(outcomes).toMatchObject([{ taken: false, found: { value: '3' } }]);
  });

  it('does not raise the revision if nothing is applied', async () => {
    const { revision } = await store().write([put('a', '1')]);
    expect((await store().write([put('a', '2', [{ key: 'a', revision: 0 }])])).revision).toBe(revision);
    expect((await store().write([{ guards: [], puts: [], deletes: ['nothing'] }])).revision).toBe(revision);
  });
}

function itLimitsWrites({ store, fixture }: Context): void {
  it('lets exactly one of many writers with the same guard succeed', async () => {
    const other = await fixture().open();
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, at) =>
        (at % 2 === 0 ? store() : other).write([put('a', `${at}`, [{ key: 'a', revision: 0 }])]),
      ),
    );
    expect(answers.filter(({ outcomes }) => outcomes[0]?.taken)).toHaveLength(1);
    await other.close();
  });

  it('accepts 100 writes in one request', async () => {
    const { outcomes } = await store().write(
      Array.from({ length: 100 }, (_, at) => put(`k${at}`, 'x'.repeat(761), [{ key: `k${at}`, revision: 0 }])),
    );
    expect(outcomes).toHaveLength(100);
    expect(outcomes.every(({ taken }) => taken)).toBe(true);
  });

  it.each([
    ['no writes', []],
    ['101 writes', Array.from({ length: 101 }, (_, at) => put(`k${at}`, ''))],
    ['more than 1 MiB', [put('a', 'x'.repeat(1_048_577))]],
    ['a key twice', [put('a', '1'), put('a', '2')]],
  ])('refuses %s and applies nothing of it', async (_what, writes) => {
    await expect(store().write(writes)).rejects.toMatchObject({ code: 'STORE_REFUSED' });
    expect((await store().list()).items).toEqual([]);
  });

  it('lists several thousand items at one revision', async () => {
    for (let at = 0; at < 2_500; at += 100) {
      await store().write(
        Array.from({ length: 100 }, (_, n) => put(`k${String(at + n).padStart(5, '0')}`, `${at + n}`)),
      );
    }
    const { items } = await store().list();
    expect(items.map(({ value }) => Number(value))).toEqual(Array.from({ length: 2_500 }, (_, n) => n));
  });
}

function itFollows({ store, fixture, until }: Context): void {
  it('delivers every revision once and whole, also those from before', async () => {
    const { revision } = await store().list();
    await store().write([put('a', '1'), put('b', '1')]);
    const recorder = new Recorder();
    const following = store().follow(revision, recorder.sink());
    await store().write([put('a', '2'), { guards: [], puts: [], deletes: ['b'] }]);
    await store().write([put('c', '3')]);
    await until(() => recorder.revisions.length >= 3);
    expect(recorder.revisions).toEqual([revision + 1, revision + 2, revision + 3]);
    expect(recorder.changeCounts).toEqual([2, 2, 1]);
    expect([...recorder.view.values()].toSorted((a, b) => (a.key < b.key ? -1 : 1))).toEqual(
      (await store().list()).items,
    );
    following.stop();
  });

  it('delivers a revision of 1 MB whole', async () => {
    const { revision } = await store().list();
    const recorder = new Recorder();
    for (let round = 0; round < 6; round += 1) {
      await store().write(Array.from({ length: 70 }, (_, at) => put(`k${at}`, 'x'.repeat(14_000))));
    }
    const following = store().follow(revision, recorder.sink());
    await until(() => recorder.revisions.length >= 6);
    expect(recorder.changeCounts).toEqual([70, 70, 70, 70, 70, 70]);
    following.stop();
  });

  it('reports that it is alive without changes', async () => {
    const recorder = new Recorder();
    const following = store().follow((await store().list()).revision, recorder.sink());
    await until(() => recorder.alive >= 3);
    expect(recorder.revisions).toEqual([]);
    following.stop();
  });

  it('calls nothing after stop', async () => {
    const recorder = new Recorder();
    const following: Following = store().follow((await store().list()).revision, recorder.sink());
    await store().write([put('a', '1')]);
    await until(() => recorder.revisions.length === 1);
    following.stop();
    following.stop();
    await store().write([put('a', '2')]);
    await fixture().pass(300);
    expect(recorder.revisions).toHaveLength(1);
  });
}

function itReportsCompaction({ store, fixture, until }: Context): void {
  it('is lost once the changes are compacted, and continues after a list', async () => {
    const { revision } = await store().list();
    await store().write([put('a', '1')]);
    const after = await store().write([put('a', '2')]);
    await fixture().compact(after.revision);
    const recorder = new Recorder();
    store().follow(revision, recorder.sink());
    await until(() => recorder.isLost);
    expect(recorder.revisions).toEqual([]);
    const listed = await store().list();
    const again = new Recorder();
    const following = store().follow(listed.revision, again.sink());
    await store().write([put('a', '3')]);
    await until(() => again.revisions.length === 1);
    following.stop();
  });
}

function itKeepsLeases({ store, fixture, until }: Context): void {
  it('keeps a member longer than its lease, and removes it when it leaves', async () => {
    const member = await store().join('replicas/a', 'one', 2_000);
    expect((await store().list()).items).toMatchObject([
      { key: 'replicas/a', value: 'one', createdAt: member.createdAt },
    ]);
    await fixture().pass(4_500);
    await member.update('two');
    expect((await store().list()).items).toMatchObject([{ value: 'two', createdAt: member.createdAt }]);
    await fixture().pass(4_500);
    expect((await store().list()).items).toHaveLength(1);
    await member.leave();
    await member.leave();
    expect(await member.ended).toBe('left');
    expect((await store().list()).items).toEqual([]);
  });

  it('ends the life of a member whose lease is revoked, and refuses its writes', async () => {
    const member = await store().join('replicas/a', 'one', 3_000);
    let end = '';
    void member.ended.then((how) => (end = how));
    await fixture().revoke('replicas/a');
    await until(() => end !== '');
    expect(end).toBe('lost');
    const { outcomes } = await store().write([put('a', '1', [{ key: 'replicas/a', createdAt: member.createdAt }])]);
    expect(outcomes).toMatchObject([{ taken: false }]);
    await expect(member.update('x')).rejects.toMatchObject({ code: 'STORE_REFUSED' });
  });

  it('ends the life of a member whose key is taken by another', async () => {
    const first = await store().join('replicas/a', 'one', 3_000);
    const other = await fixture().open();
    const second = await other.join('replicas/a', 'two', 3_000);
    expect(second.createdAt).toBeGreaterThan(first.createdAt);
    expect((await store().list()).items).toMatchObject([{ value: 'two' }]);
    let end = '';
    void first.ended.then((how) => (end = how));
    await until(() => end === 'lost');
    await second.leave();
    await other.close();
  });

  it('removes a member that stops renewing its lease', async () => {
    const other = await fixture().open();
    await other.join('replicas/a', 'one', 2_000);
    await other.close();
    let count = 1;
    for (let tries = 0; tries < 100 && count > 0; tries += 1) {
      await fixture().pass(200);
      count = (await store().list()).items.length;
    }
    expect(count).toBe(0);
  });

  it('refuses a lease outside the allowed range', async () => {
    for (const ttlMs of [0, 1_999, 2_500, Number.NaN]) {
      await expect(store().join('replicas/a', 'one', ttlMs)).rejects.toMatchObject({ code: 'STORE_REFUSED' });
    }
  });
}

function itCloses({ store, fixture }: Context): void {
  it('refuses everything once it is closed, which it may be twice', async () => {
    const recorder = new Recorder();
    const other = await fixture().open();
    other.follow(0, recorder.sink());
    await other.close();
    await other.close();
    const seen = recorder.revisions.length;
    await expect(other.list()).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(other.write([put('a', '1')])).rejects.toMatchObject({ code: 'CLOSED' });
    await expect(other.join('a', '1', 2_000)).rejects.toMatchObject({ code: 'CLOSED' });
    expect(() => other.follow(1, recorder.sink())).toThrow(expect.objectContaining({ code: 'CLOSED' }));
    await store().write([put('a', '1')]);
    expect([recorder.revisions.length, recorder.isLost]).toEqual([seen, false]);
  });
}
