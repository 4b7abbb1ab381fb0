import { describe, expect, it } from 'vitest';
import { sampleInstance } from '../testing.js';
import { ServiceSnapshot } from './change.js';
import type { ServiceFrame } from './change.js';
import type { ResetFrame } from './feed-frame.js';
import type { Instance, Tombstone } from './instance.js';
import type { Cursor } from './protocol.js';

const A = '0192f0c1-0000-7000-8000-00000000000a';
const B = '0192f0c1-0000-7000-8000-00000000000b';
const of = { namespace: 'default', service: 'orders' };

const at = (id: string, revision: number): Instance => sampleInstance({ id, revision });
const gone = (id: string, revision: number): Tombstone => ({
  id,
  revision,
  reason: { code: 'GOODBYE', text: 'it left' },
});
const change = (upsert: readonly Instance[], remove: readonly Tombstone[] = []): ServiceFrame => ({
  event: 'change',
  data: { ...of, upsert, remove },
});
const unknown: ServiceFrame = { event: 'unknown', data: of };
const resetPart = (epoch: string, revision: number, but: Partial<ResetFrame> = {}): ServiceFrame => ({
  event: 'reset',
  data: { ...of, epoch, revision, part: 0, complete: true, instances: [], ...but },
});
const reset = (epoch: string, revision: number, instances: readonly Instance[], removed: readonly Tombstone[] = []) =>
  resetPart(epoch, revision, { instances, removed });

function snapshotOf(...frames: readonly ServiceFrame[]): ServiceSnapshot {
  const snapshot = new ServiceSnapshot();
  for (const frame of frames) snapshot.apply(frame);
  return snapshot;
}
/** `a@3 b@4?`: known instances with their revisions; a question mark marks unconfirmed ones. */
function shown(snapshot: ServiceSnapshot): string {
  const entries = snapshot.instances.map(
    ({ id, revision }) => `${id}@${revision}${snapshot.isUnconfirmed(id) ? '?' : ''}`,
  );
  return entries.toSorted().join(' ');
}

describe('a view', () => {
  it('waits for its complete first reset', () => {
    const snapshot = new ServiceSnapshot();
    expect(snapshot.status).toBe('waiting');
    expect(snapshot.apply(resetPart(A, 2, { complete: false, instances: [at('a', 1)] }))).toBe('same');
    expect(snapshot.status).toBe('waiting');
    expect(snapshot.apply(resetPart(A, 2, { part: 1, instances: [at('b', 2)] }))).toBe('changed');
    expect(shown(snapshot)).toBe('a@1 b@2');
    expect(snapshot).toMatchObject({ status: 'known', epoch: A, revision: 2 });
  });

  it('may be known to be empty', () => {
    const snapshot = new ServiceSnapshot();
    expect(snapshot.apply(reset(A, 0, []))).toBe('changed');
    expect(snapshot.status).toBe('known');
  });

  it('is the same list until something changes', () => {
    const snapshot = snapshotOf(reset(A, 1, [at('a', 1)]));
    const before = snapshot.instances;
    expect(snapshot.apply(change([at('a', 1)], [gone('z', 1)]))).toBe('same');
    expect(snapshot.instances).toBe(before);
    expect(snapshot.apply(change([at('b', 2)]))).toBe('changed');
    expect(snapshot.instances).not.toBe(before);
    expect(before.map(({ id }) => id)).toEqual(['a']);
  });
});

describe('within an epoch', () => {
  it('only a higher revision changes the view', () => {
    const snapshot = snapshotOf(reset(A, 5, [at('a', 5)]));
    expect(snapshot.apply(change([at('a', 4)]))).toBe('same');
    expect(snapshot.apply(change([at('a', 6)]))).toBe('changed');
    expect(shown(snapshot)).toBe('a@6');
  });

  it('a tombstone removes only an older instance', () => {
    const snapshot = snapshotOf(reset(A, 5, [at('a', 5), at('b', 4)]), change([], [gone('a', 4), gone('b', 6)]));
    expect(shown(snapshot)).toBe('a@5');
    expect(snapshot.tombstone('b')?.reason.code).toBe('GOODBYE');
  });

  it('a removed instance returns only by a newer revision', () => {
    const snapshot = snapshotOf(reset(A, 5, [at('a', 5)]), change([], [gone('a', 7)]), change([at('a', 6)]));
    expect(shown(snapshot)).toBe('');
    snapshot.apply(change([at('a', 8)]));
    expect(shown(snapshot)).toBe('a@8');
    expect(snapshot.tombstone('a')).toBeUndefined();
  });

  it('an instance that is missing in a complete reset is removed', () => {
    const snapshot = snapshotOf(reset(A, 5, [at('a', 5), at('b', 4)]), reset(A, 6, [at('a', 5)]));
    expect(shown(snapshot)).toBe('a@5');
  });

  it('an instance that is missing in an incomplete reset stays', () => {
    const snapshot = snapshotOf(
      reset(A, 5, [at('a', 5), at('b', 4)]),
      resetPart(A, 6, { complete: false, instances: [at('a', 6)] }),
    );
    expect(shown(snapshot)).toBe('a@5 b@4');
  });

  it('a reset that is older than the view removes no instance', () => {
    const snapshot = snapshotOf(reset(A, 9, [at('a', 5), at('b', 9)]), reset(A, 8, [at('c', 8)]));
    expect(shown(snapshot)).toBe('a@5 b@9 c@8');
  });

  it.each<[string, ServiceFrame]>([
    ['a tombstone', change([], [gone('z', 9)])],
    ['another reset', reset(A, 9, [at('a', 5)])],
  ])('nor does a reset that is older than %s', (_what, newer) => {
    expect(shown(snapshotOf(reset(A, 5, [at('a', 5)]), newer, reset(A, 8, [])))).toBe('a@5');
  });

  it('an instance in a reset is alive, regardless of its tombstones', () => {
    expect(shown(snapshotOf(reset(A, 5, [at('a', 3)], [gone('a', 4)])))).toBe('a@3');
  });

  it('a change during a reset applies at once, and the reset does not undo it', () => {
    const snapshot = snapshotOf(
      reset(A, 5, [at('a', 1), at('b', 2), at('c', 3)]),
      resetPart(A, 7, { complete: false, instances: [at('a', 1), at('b', 2)] }),
      change([at('d', 8)], [gone('b', 9)]),
    );
    expect(shown(snapshot)).toBe('a@1 c@3 d@8');
    snapshot.apply(resetPart(A, 7, { part: 1, instances: [at('e', 7)] }));
    expect(shown(snapshot)).toBe('a@1 d@8 e@7');
  });
});

describe('another epoch', () => {
  const known = reset(A, 50, [at('a', 49), at('b', 50)]);

  it('has its own revisions', () => {
    const snapshot = snapshotOf(known, reset(B, 2, [at('a', 1), at('b', 2)]), change([at('a', 3)]));
    expect(shown(snapshot)).toBe('a@3 b@2');
    expect(snapshot).toMatchObject({ epoch: B, revision: 3 });
  });

  it('removes no instance because it is missing', () => {
    const snapshot = snapshotOf(known, reset(B, 0, []));
    expect(shown(snapshot)).toBe('a@49? b@50?');
    expect(snapshot.status).toBe('known');
  });

  it('nor if it is missing again', () => {
    const snapshot = snapshotOf(known, reset(B, 0, []), reset(B, 1, [at('c', 1)]), reset(A, 51, [at('d', 51)]));
    expect(shown(snapshot)).toBe('a@49? b@50? c@1? d@51');
  });

  it('confirms the instances that it contains, also in the next epoch', () => {
    expect(shown(snapshotOf(known, reset(B, 0, []), reset(A, 52, [at('a', 1)])))).toBe('a@1 b@50?');
  });

  it('confirms by any revision, and removes by any tombstone', () => {
    const snapshot = snapshotOf(known, reset(B, 0, []), change([at('a', 1)], [gone('b', 2)]));
    expect(shown(snapshot)).toBe('a@1');
  });

  it('removes by the tombstones of its reset, with revisions of any epoch', () => {
    const snapshot = snapshotOf(known, reset(B, 3, [], [gone('a', 7), gone('b', 900)]));
    expect(shown(snapshot)).toBe('');
    expect(snapshot.status).toBe('known');
    snapshot.apply(change([at('b', 4)]));
    expect(shown(snapshot)).toBe('b@4');
  });

  it('takes effect only when its reset is complete, with the changes in between', () => {
    const snapshot = snapshotOf(known, resetPart(B, 2, { complete: false, instances: [at('a', 1)] }));
    expect(snapshot.apply(change([at('c', 3)], [gone('b', 4)]))).toBe('same');
    expect(shown(snapshot)).toBe('a@49 b@50');
    snapshot.apply(resetPart(B, 2, { part: 1 }));
    expect(shown(snapshot)).toBe('a@1 c@3');
  });
});

/** Knows c, and does not know whether a and b still exist. */
const doubtful = () => snapshotOf(reset(A, 2, [at('a', 1), at('b', 2)]), reset(B, 1, [at('c', 1)]));

describe('unconfirmed instances', () => {
  it('are removed when the registry is settled and they are also ejected here', () => {
    const snapshot = doubtful();
    const list = snapshot.instances;
    expect(snapshot.confirm(false, () => true)).toBe(false);
    expect(snapshot.confirm(true, () => false)).toBe(false);
    expect(snapshot.instances).toBe(list);
    expect(snapshot.confirm(true, (id) => id === 'a')).toBe(true);
    expect(shown(snapshot)).toBe('b@2? c@1');
    expect(snapshot.confirm(true, () => true)).toBe(true);
    expect(shown(snapshot)).toBe('c@1');
  });

  it('are removed when another process answers at their address; confirmed ones are not', () => {
    const snapshot = doubtful();
    expect(snapshot.disprove('a')).toBe(true);
    expect(snapshot.disprove('c')).toBe(false);
    expect(snapshot.disprove('unknown')).toBe(false);
    expect(shown(snapshot)).toBe('b@2? c@1');
  });
});

describe('"unknown"', () => {
  it('is an answer if no instance is known', () => {
    const snapshot = new ServiceSnapshot();
    expect(snapshot.apply(unknown)).toBe('changed');
    expect(snapshot.status).toBe('unknown');
    expect(snapshot.apply(reset(A, 1, [at('a', 1)]))).toBe('changed');
    expect(snapshot.status).toBe('known');
  });

  it('removes no instance, but makes all of them unconfirmed', () => {
    const snapshot = snapshotOf(reset(A, 1, [at('a', 1)]), unknown);
    expect(shown(snapshot)).toBe('a@1?');
    expect(snapshot.status).toBe('known');
    expect(snapshot.confirm(true, () => true)).toBe(true);
    expect(snapshot.status).toBe('unknown');
  });

  it('is reverted by a reset of the same epoch', () => {
    const before = reset(A, 2, [at('a', 1), at('b', 2)]);
    expect(shown(snapshotOf(before, unknown, reset(A, 3, [at('a', 1)])))).toBe('a@1');
  });
});

describe('resuming', () => {
  const cursor: Cursor = { epoch: A, revision: 9 };
  const base = reset(A, 9, [at('a', 1)]);

  it('is allowed with a complete view of the cursor’s epoch', () => {
    const snapshot = snapshotOf(base, change([at('b', 10)]));
    expect(snapshot.canResume(cursor)).toBe(true);
    expect(snapshot.canResume({ epoch: B, revision: 9 })).toBe(false);
  });

  it.each<[string, readonly ServiceFrame[]]>([
    ['before the first reset', []],
    ['between the parts of a reset', [base, resetPart(A, 9, { complete: false })]],
    ['after a part was lost', [base, resetPart(A, 9, { complete: false }), resetPart(A, 9, { part: 2 })]],
    ['after "unknown"', [base, unknown]],
  ])('is not allowed %s', (_when, frames) => {
    expect(snapshotOf(...frames).canResume(cursor)).toBe(false);
  });

  it('is allowed again after the next complete reset', () => {
    expect(snapshotOf(base, unknown, base).canResume(cursor)).toBe(true);
  });
});

const many = (from: number, count: number) => Array.from({ length: count }, (_, index) => at(`i${from + index}`, 1));

describe('a stream that violates the protocol', () => {
  it.each<[string, readonly ServiceFrame[]]>([
    ['a change before any reset', [change([at('z', 1)])]],
    ['a reset without its first part', [resetPart(A, 3, { part: 1 })]],
    ['a part that is missing', [resetPart(A, 3, { complete: false }), resetPart(A, 3, { part: 2 })]],
    [
      'a part twice',
      [
        resetPart(A, 3, { complete: false }),
        resetPart(A, 3, { part: 1, complete: false }),
        resetPart(A, 3, { part: 1 }),
      ],
    ],
    [
      'continuing after a gap',
      [resetPart(A, 3, { complete: false }), resetPart(A, 3, { part: 2 }), resetPart(A, 3, { part: 1 })],
    ],
    ['parts of two revisions', [resetPart(A, 3, { complete: false }), resetPart(A, 4, { part: 1 })]],
    ['parts of two epochs', [resetPart(A, 3, { complete: false }), resetPart(B, 3, { part: 1 })]],
  ])('by %s is reported as broken', (_what, frames) => {
    const snapshot = new ServiceSnapshot();
    expect(frames.map((frame) => snapshot.apply(frame)).at(-1)).toBe('broken');
    expect(snapshot.status).toBe('waiting');
  });

  it('by continuing a reset after "unknown" is reported as broken', () => {
    const snapshot = snapshotOf(resetPart(A, 3, { complete: false }), unknown);
    expect(snapshot.apply(resetPart(A, 3, { part: 1 }))).toBe('broken');
  });

  it('leaves the view unchanged', () => {
    const snapshot = snapshotOf(
      reset(A, 5, [at('a', 5)]),
      resetPart(B, 1, { complete: false, instances: [at('b', 1)] }),
    );
    expect(snapshot.apply(resetPart(B, 1, { part: 2 }))).toBe('broken');
    expect(shown(snapshot)).toBe('a@5');
  });

  it('with too many instances for a service is reported as broken, and takes no more memory', () => {
    const snapshot = snapshotOf(reset(A, 1, many(0, 60_000)));
    expect(snapshot.apply(change(many(60_000, 40_001)))).toBe('broken');
    expect(snapshot.instances).toHaveLength(60_000);
    expect(snapshot.canResume({ epoch: A, revision: 1 })).toBe(false);
    expect(snapshot.apply(change(many(0, 60_000).map((each) => ({ ...each, revision: 2 }))))).toBe('changed');
    snapshot.apply(resetPart(B, 1, { complete: false, instances: many(0, 60_000) }));
    expect(snapshot.apply(resetPart(B, 1, { part: 1, instances: many(60_000, 60_000) }))).toBe('broken');
    expect(snapshot.apply(reset(B, 1, many(100_000, 60_000)))).toBe('changed');
    expect(snapshot.instances).toHaveLength(100_000);
  });

  it('keeps a bounded number of tombstones', () => {
    const snapshot = snapshotOf(reset(A, 1, []));
    for (let revision = 2; revision < 3_000; revision += 1)
      snapshot.apply(change([], [gone(`i${revision}`, revision)]));
    expect(snapshot.tombstone('i2')).toBeUndefined();
    expect(snapshot.tombstone('i2999')?.revision).toBe(2_999);
  });
});

/** The copy that a process with these frames stores for the next process. */
function after(...frames: readonly ServiceFrame[]): ServiceSnapshot {
  const next = new ServiceSnapshot();
  const { kept } = snapshotOf(...frames);
  expect(kept !== null && next.restore(kept)).toBe(true);
  return next;
}

describe('a view that starts from a stored copy', () => {
  const both = reset(A, 2, [at('a', 1), at('b', 2)]);

  it('has all of its instances, unconfirmed, and does not resume', () => {
    const snapshot = after(both);
    expect(shown(snapshot)).toBe('a@1? b@2?');
    expect(snapshot).toMatchObject({ status: 'known', epoch: A, revision: 2 });
    expect(snapshot.canResume({ epoch: A, revision: 2 })).toBe(false);
    expect(snapshot.apply(change([at('c', 3)]))).toBe('broken');
    expect(shown(snapshot)).toBe('a@1? b@2?');
  });

  it('is confirmed, changed and shortened by the registry of its epoch', () => {
    const snapshot = after(both);
    snapshot.apply(reset(A, 5, [at('a', 4), at('c', 5)]));
    expect(shown(snapshot)).toBe('a@4 c@5');
  });

  it('keeps instances that a registry of another epoch does not contain, except for its tombstones', () => {
    const snapshot = after(reset(A, 3, [at('a', 1), at('b', 2), at('c', 3)]));
    snapshot.apply(reset(B, 1, [at('b', 1)], [gone('c', 1)]));
    expect(shown(snapshot)).toBe('a@1? b@1');
  });

  it('keeps instances unconfirmed that its own epoch did not contain, so that absence does not remove them', () => {
    const snapshot = after(both, reset(B, 1, [at('b', 1)]));
    snapshot.apply(reset(B, 2, [at('b', 1)]));
    expect(shown(snapshot)).toBe('a@1? b@1');
  });

  it('removes an instance whose address another process has, and unresponsive ones that a settled registry does not know', () => {
    const snapshot = after(both);
    expect(snapshot.disprove('a')).toBe(true);
    expect(snapshot.confirm(true, () => true)).toBe(false);
    snapshot.apply(unknown);
    expect(snapshot.confirm(true, () => true)).toBe(true);
    expect(shown(snapshot)).toBe('');
  });

  it('is not restored after a registry has answered, nor from an empty copy', () => {
    const { kept } = snapshotOf(both);
    const empty = snapshotOf(reset(B, 1, []));
    expect(kept !== null && empty.restore(kept)).toBe(false);
    expect(snapshotOf().kept).toBeNull();
    expect(snapshotOf(reset(A, 1, [])).kept).toBeNull();
    expect(snapshotOf(resetPart(A, 1, { complete: false, instances: [at('a', 1)] })).kept).toBeNull();
  });
});
