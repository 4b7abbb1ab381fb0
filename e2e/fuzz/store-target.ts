import { recordingLog, sampleInstance } from '@rollcall/core/testing';
import type { Contents, StoredInstance, Write } from '@rollcall/registry';
import { encodeFooter, encodeHeader, encodeRecord, fileName, readRecords, recover } from '@rollcall/registry/testing';
import type { FileKind } from '@rollcall/registry/testing';
import { Draw } from './draw.js';
import { checkTyped, assertRule, assertEqual, allowErrors } from './target.js';
import type { Target } from './target.js';

type Folder = Parameters<typeof recover>[0];

const HEX = 'ab'.repeat(32);

function putOf(draw: Draw): StoredInstance {
  const record = sampleInstance({
    id: `orders-${draw.below(4)}`,
    revision: draw.below(256),
    version: `${draw.byte()}é`,
  });
  return { record, targets: record.endpoints, secretHash: HEX, callKey: HEX, cause: null, proved: draw.below(2) === 0 };
}

function writeFrom(draw: Draw): Write {
  const kind = draw.below(6);
  const id = `orders-${draw.below(4)}`;
  if (kind <= 2) return { put: putOf(draw) };
  if (kind === 3) return { forget: id };
  const scope = { usedAgoMs: [draw.byte()], peak: draw.byte() };
  if (kind === 4) return { preserve: { registry: scope, services: { orders: scope } } };
  const reason = { code: 'GOODBYE', text: 'it left\n' } as const;
  const of = { id, service: 'orders', namespace: 'default', revision: draw.byte(), reason };
  return { bury: { ...of, secretHash: HEX, ended: true, removedAt: 1 } };
}

/** The content of a store after these groups, by the interface of its port. */
function contentAfter(groups: readonly (readonly Write[])[]): string {
  const instances = new Map<string, unknown>();
  const tombstones = new Map<string, unknown>();
  let preservation: unknown = null;
  for (const write of groups.flat()) {
    if ('put' in write) {
      instances.set(write.put.record.id, write.put);
      tombstones.delete(write.put.record.id);
    } else if ('bury' in write) {
      instances.delete(write.bury.id);
      tombstones.set(write.bury.id, write.bury);
    } else if ('forget' in write) tombstones.delete(write.forget);
    else preservation = write.preserve;
  }
  return JSON.stringify([byId(instances), byId(tombstones), preservation]);
}

const byId = (all: ReadonlyMap<string, unknown>): unknown[] =>
  [...all].toSorted(([one], [other]) => (one < other ? -1 : 1)).map(([, each]) => each);

function stateOf({ instances, tombstones, preservation }: Contents): string {
  const live = new Map(instances.map((each) => [each.record.id, each]));
  const buried = new Map(tombstones.map((each) => [each.id, each]));
  return JSON.stringify([byId(live), byId(buried), preservation]);
}

const unsupported = (): never => {
  throw new Error('recovery writes');
};

/** The files of a store, and the end of each group of writes in them. */
class Disk {
  readonly files = new Map<string, Buffer>();
  readonly groups: (readonly Write[])[] = [];
  /** File and end of each group, in order. */
  readonly ends: (readonly [name: string, end: number])[] = [];
  readonly names: string[] = [];

  constructor(draw: Draw) {
    this.#file('snapshot', 1, null, draw, draw.below(3));
    const first = draw.below(4);
    this.#file('log', 1, null, draw, first);
    // a log is replaced only when it has grown
    if (first > 0 && draw.below(2) === 0) this.#file('log', 2, 1, draw, 1 + draw.below(3));
  }

  // eslint-disable-next-line max-params -- the properties of a file
  #file(kind: FileKind, generation: number, before: number | null, draw: Draw, count: number): void {
    const name = fileName(kind, generation);
    let bytes = Buffer.from(encodeHeader({ kind, generation, after: before }));
    let writes = 0;
    for (let left = count; left > 0; left -= 1) {
      const group = Array.from({ length: 1 + draw.below(3) }, () => writeFrom(draw));
      bytes = Buffer.concat([bytes, encodeRecord(JSON.stringify(group))]);
      this.groups.push(group);
      this.ends.push([name, bytes.length]);
      writes += group.length;
    }
    if (kind === 'snapshot') bytes = Buffer.concat([bytes, encodeFooter(writes)]);
    this.files.set(name, bytes);
    this.names.push(name);
  }

  get folder(): Folder {
    return {
      path: '/data',
      make: unsupported,
      list: () => Promise.resolve([...this.files.keys()]),
      read: (name) => Promise.resolve(this.files.get(name) ?? Buffer.alloc(0)),
      create: unsupported,
      rename: unsupported,
      remove: unsupported,
      sync: unsupported,
      touch: unsupported,
      touchedAt: unsupported,
      sizeOf: unsupported,
      id: unsupported,
    };
  }
}

interface Damage {
  readonly name: string;
  /** The file is damaged from here on. */
  readonly from: number;
  /** The file ends earlier, as after a crash. */
  readonly isCut: boolean;
  /** The file ends at the end of a record: nothing in it shows that there was more. */
  readonly isHidden: boolean;
}

function damage(disk: Disk, draw: Draw): Damage | null {
  const name = disk.names[draw.below(disk.names.length)] ?? '';
  const bytes = disk.files.get(name) ?? Buffer.alloc(0);
  const at = draw.below(65_536) % (bytes.length + 1);
  const kind = draw.below(5);
  const original = Buffer.from(bytes);
  let now = original;
  if (kind === 0) now = original.subarray(0, at);
  else if (kind === 1) now = Buffer.concat([original, draw.rest(64)]);
  else {
    now = Buffer.from(original);
    const width = kind === 2 ? 1 : 1 + draw.below(32);
    for (let each = at; each < Math.min(at + width, now.length); each += 1) {
      now[each] = kind === 3 ? 0 : (now[each] ?? 0) ^ (1 << draw.below(8));
    }
  }
  if (now.equals(original)) return null;
  disk.files.set(name, now);
  const from = [...original].findIndex((byte, index) => now[index] !== byte);
  const isAtEnd = disk.ends.some(([of, end]) => of === name && end === at);
  // a log without a complete head counts as never written
  const isBare = at <= original.indexOf('\n') + 1;
  return {
    name,
    from: from < 0 ? original.length : from,
    isCut: kind === 0,
    isHidden: kind === 0 && (isAtEnd || isBare),
  };
}

async function checkDamaged(bytes: Uint8Array): Promise<void> {
  const draw = new Draw(bytes);
  const disk = new Disk(draw);
  const states = Array.from({ length: disk.groups.length + 1 }, (_, count) =>
    contentAfter(disk.groups.slice(0, count)),
  );
  const damages = Array.from({ length: draw.below(3) }, () => damage(disk, draw)).filter((one) => one !== null);
  const log = recordingLog();
  let found: string | null = null;
  try {
    found = stateOf((await recover(disk.folder, log)).kept.contents());
  } catch (error) {
    checkTyped(['STORE_UNREADABLE'], error);
  }
  const last = disk.names.at(-1) ?? '';
  // a crash only tears the end of the last log
  const isTorn = damages.every(({ name, isCut }) => isCut && name === last && last.startsWith('log'));
  if (found === null) return assertRule(!isTorn, 'a torn end keeps it from starting');
  // cut between two records, a log in the middle looks whole: no crash does that, and the file does not show it
  if (damages.some(({ name, isHidden }) => isHidden && name !== last)) return;
  const whole = disk.ends.filter(([name, end]) => damages.every((one) => isBefore(disk, [name, end], one))).length;
  const safe = firstGap(disk, damages) ?? whole;
  const kept = states.lastIndexOf(found);
  assertRule(kept >= 0, 'it starts with a state that never existed');
  assertRule(kept >= safe, `it starts with ${kept} of ${safe} writes that are whole`);
  const isReported = log.texts('warn').length > 0 || damages.some(({ isHidden }) => isHidden);
  assertRule(kept === disk.groups.length || isReported, 'it forgets in silence');
}

/** Whether the group ends before the damage begins. */
function isBefore(disk: Disk, [name, end]: readonly [string, number], { name: where, from }: Damage): boolean {
  const [ours, theirs] = [disk.names.indexOf(name), disk.names.indexOf(where)];
  return ours < theirs || (ours === theirs && end <= from);
}

/** The number of groups before the first damaged one; null: none is damaged. */
function firstGap(disk: Disk, damages: readonly Damage[]): number | null {
  const at = disk.ends.findIndex((group) => !damages.every((one) => isBefore(disk, group, one)));
  return at < 0 ? null : at;
}

function checkRaw(bytes: Uint8Array): void {
  for (const kind of ['snapshot', 'log'] as const) {
    const read = allowErrors(['STORE_UNREADABLE'], () => readRecords('/data/x', kind, bytes));
    if (read === undefined || read.header === null) continue;
    assertRule(JSON.stringify(read.writes).length <= 2 * bytes.length + 100, 'more comes out than went in');
    const records = read.writes.map((write) => encodeRecord(JSON.stringify([write])));
    const footer = kind === 'snapshot' ? [encodeFooter(read.writes.length)] : [];
    const again = readRecords('/data/x', kind, Buffer.concat([encodeHeader(read.header), ...records, ...footer]));
    assertEqual(again.writes, read.writes, 'writes are read otherwise again');
    assertRule(again.tornAt === null, 'a whole file is torn');
  }
}

const HEAD = encodeHeader({ kind: 'log', generation: 1, after: null });
const RECORD = encodeRecord('[{"forget":"orders-1"}]');

export const store: Target = {
  name: 'store',
  about: 'the registry’s log and snapshot: raw, and written, torn, flipped and cut',
  seeds: [
    Buffer.concat([HEAD, RECORD, RECORD.subarray(0, 9)]),
    Buffer.concat([encodeHeader({ kind: 'snapshot', generation: 1, after: null }), RECORD, encodeFooter(1)]),
    Buffer.from(Array.from({ length: 64 }, (_, at) => (at * 37) % 251)),
  ],
  run(bytes) {
    checkRaw(bytes);
    return checkDamaged(bytes);
  },
};
