import { isRollcallError } from '@rollcall/core';
import { crc32 } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { storedInstance, storedTombstone } from '../contract.js';
import { Kept } from '../kept.js';
import { Bench } from './disk.fixture.js';
import { encodeHeader, encodeRecord, readRecords } from './record-file.js';

const SNAPSHOT = 'snapshot-000000001';
const LOG = 'log-000000001';

/** The store of a registry that registered `a`, `b` and `c` one after another. */
async function left() {
  const bench = new Bench();
  const store = bench.store();
  await store.load();
  for (const id of ['a', 'b', 'c']) await store.write([{ put: storedInstance(id, 1) }]);
  bench.disk.end('kill');
  return { bench, files: new Map(bench.disk.files) };
}

async function idsIn(bench: Bench): Promise<readonly string[]> {
  return (await bench.load()).instances.map(({ record }) => record.id);
}

/** The offsets of the lines of a file, and its end. */
function linesOf(bytes: Buffer): readonly number[] {
  return [0, ...[...bytes.entries()].filter(([, byte]) => byte === 10).map(([at]) => at + 1)];
}

describe('a torn last record', () => {
  it('is left out if it was torn anywhere, and the log names the place', async () => {
    const { bench, files } = await left();
    const log = files.get(LOG)!;
    const last = linesOf(log).at(-2)!;
    for (const end of [last + 1, last + 9, last + 20, last + 300, log.length - 1]) {
      bench.disk.end('kill');
      for (const [name, bytes] of files) bench.disk.plant(name, bytes);
      bench.disk.plant(LOG, log.subarray(0, end));
      expect(await idsIn(bench)).toEqual(['a', 'b']);
      expect(bench.log.texts('warn').at(-1)).toMatch(`/data/${LOG} ends at byte ${last} in the middle of a record`);
    }
  });

  it('may have holes that the disk had not written', async () => {
    const { bench, files } = await left();
    const log = Buffer.from(files.get(LOG)!);
    const last = linesOf(log).at(-2)!;
    bench.disk.plant(LOG, log.fill(0, last + 30, last + 60));
    expect(await idsIn(bench)).toEqual(['a', 'b']);
  });

  it('may be the header of a new log', async () => {
    const { bench } = await left();
    bench.disk.plant('log-000000002', encodeHeader({ kind: 'log', generation: 2, after: 1 }).subarray(0, 20));
    expect(await idsIn(bench)).toEqual(['a', 'b', 'c']);
    expect(bench.log.texts('warn')).toEqual([
      expect.stringMatching(/log-000000002 has no complete head: its creation was interrupted/),
    ]);
  });

  it('is damage in a log with a successor', async () => {
    const { bench, files } = await left();
    bench.disk.plant(LOG, files.get(LOG)!.subarray(0, -5));
    const next = [
      encodeHeader({ kind: 'log', generation: 2, after: 1 }),
      encodeRecord(JSON.stringify([{ put: storedInstance('d', 1) }])),
    ];
    bench.disk.plant('log-000000002', Buffer.concat(next));
    await expect(idsIn(bench)).rejects.toMatchObject({
      code: 'STORE_UNREADABLE',
      message: expect.stringContaining(
        `/data/${LOG} ends in the middle of a record, although /data/log-000000002 goes on.`,
      ),
    });
  });
});

describe('a store that is damaged', () => {
  it('is refused with the file, the place and what to do', async () => {
    const { bench, files } = await left();
    const second = linesOf(files.get(LOG)!).at(2)!;
    const log = damagedAt(files.get(LOG)!, second + 40, 1);
    bench.disk.plant(LOG, log);
    const refused = await idsIn(bench).catch((error: unknown) => error);
    expect(refused).toMatchObject({
      code: 'STORE_UNREADABLE',
      message:
        `/data/${LOG} is damaged at byte ${second}: the checksum does not fit what stands there. Nothing was changed. Restore the ` +
        'folder, or move it away to start empty: running services register again by themselves.',
    });
    // and nothing was
    expect(bench.disk.files.get(LOG)).toEqual(log);
    expect([...bench.disk.files.keys()].toSorted()).toEqual(['lock-000000002.free', LOG, SNAPSHOT]);
  });

  it('is refused for any damaged byte before the last record', async () => {
    const { files } = await left();
    const log = files.get(LOG)!;
    const last = linesOf(log).at(-2)!;
    await fc.assert(
      fc.asyncProperty(fc.nat(last - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        expect(() => readRecords(LOG, 'log', damagedAt(log, at, flip))).toThrow(
          expect.objectContaining({ code: 'STORE_UNREADABLE' }),
        );
      }),
    );
  });

  it('is refused for any damaged byte of a snapshot', async () => {
    const { bench } = await left();
    await bench.load();
    const snapshot = bench.disk.files.get('snapshot-000000002')!;
    expect(readRecords('', 'snapshot', snapshot).writes).toHaveLength(3);
    fc.assert(
      fc.property(fc.nat(snapshot.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        expect(() => readRecords('', 'snapshot', damagedAt(snapshot, at, flip))).toThrow(
          expect.objectContaining({ code: 'STORE_UNREADABLE' }),
        );
      }),
    );
    for (let end = 0; end < snapshot.length; end += 7) {
      expect(() => readRecords('', 'snapshot', snapshot.subarray(0, end))).toThrow(
        expect.objectContaining({ code: 'STORE_UNREADABLE' }),
      );
    }
  });

  it.each([
    ['every snapshot', SNAPSHOT],
    ['log-000000001', LOG],
  ])('is refused if %s is missing', async (what, name) => {
    const { bench, files } = await left();
    bench.disk.plant(
      'log-000000002',
      Buffer.concat([
        encodeHeader({ kind: 'log', generation: 2, after: 1 }),
        encodeRecord(JSON.stringify([{ forget: 'd' }])),
      ]),
    );
    const folder = bench.disk.mount();
    await folder.remove(name);
    expect(files.has(name)).toBe(true);
    await expect(idsIn(bench)).rejects.toThrow(`In /data ${what} is missing`);
  });

  it('is refused if a file has the name of another', async () => {
    const { bench, files } = await left();
    bench.disk.plant('log-000000007', files.get(LOG)!);
    await expect(idsIn(bench)).rejects.toThrow('/data/log-000000007 is log-000000001 under another name.');
  });

  it('is refused if the disk cannot read it', async () => {
    const { bench } = await left();
    // the first one reads the lock
    bench.disk.faults.push({ verb: 'read', code: 'EIO', isLasting: true });
    const folder = bench.disk.mount();
    await folder.remove('lock-000000001');
    await expect(idsIn(bench)).rejects.toThrow(
      `/data/${SNAPSHOT} cannot be read: the disk reports an error of its own (EIO)`,
    );
  });
});

describe('a store of a newer version', () => {
  it('is refused', async () => {
    const { bench } = await left();
    bench.disk.plant(SNAPSHOT, encodeRecord(JSON.stringify({ rollcall: 'snapshot', format: 2, generation: 1 })));
    await expect(idsIn(bench)).rejects.toMatchObject({
      code: 'STORE_UNREADABLE',
      message: expect.stringContaining(
        `/data/${SNAPSHOT} was written by a newer Rollcall (format 2; this one reads up to 1).`,
      ),
    });
  });

  it('keeps unknown fields', async () => {
    const { bench } = await left();
    const put = { ...storedInstance('a', 1), colour: 'red' };
    bench.disk.plant(
      LOG,
      Buffer.concat([
        encodeHeader({ kind: 'log', generation: 1, after: null }),
        encodeRecord(JSON.stringify([{ put }])),
      ]),
    );
    expect((await bench.load()).instances).toEqual([put]);
  });
});

describe('other files', () => {
  it('in the folder are not touched', async () => {
    const { bench } = await left();
    bench.disk.plant('README.md', Buffer.from('hello'));
    expect(await idsIn(bench)).toEqual(['a', 'b', 'c']);
    expect(bench.disk.files.get('README.md')?.toString()).toBe('hello');
  });
});

/** A record with a correct checksum and any content. */
function recordWithChecksum(json: string): Buffer {
  return Buffer.from(`${crc32(json).toString(16).padStart(8, '0')} ${Buffer.byteLength(json)} ${json}\n`);
}

/** Some other byte at one place. */
function damagedAt(bytes: Buffer, at: number, flip: number): Buffer {
  const damaged = Buffer.from(bytes);
  damaged.writeUInt8(damaged.readUInt8(at) ^ flip, at);
  return damaged;
}

describe('the reader of records', () => {
  it('reads any record that was written', () => {
    fc.assert(
      fc.property(fc.array(fc.array(fc.tuple(fc.string({ unit: 'binary' }), fc.nat())), { maxLength: 5 }), (calls) => {
        const writes = calls.map((call) =>
          call.map(([id, revision], index) =>
            index % 2 === 0 ? { put: storedInstance(id, revision) } : { bury: storedTombstone(id, revision) },
          ),
        );
        const records = writes.map((group) => encodeRecord(JSON.stringify(group)));
        const bytes = Buffer.concat([encodeHeader({ kind: 'log', generation: 1, after: null }), ...records]);
        const read = readRecords('', 'log', bytes);
        expect(read).toEqual({
          header: { kind: 'log', generation: 1, after: null },
          writes: writes.flat(),
          tornAt: null,
        });
      }),
    );
  });

  it('throws nothing but STORE_UNREADABLE, and changes no prototype, for any input', () => {
    const header = encodeHeader({ kind: 'log', generation: 1, after: null });
    const keys = fc.constantFrom(
      'put',
      'bury',
      'forget',
      'preserve',
      'record',
      'id',
      'services',
      '__proto__',
      'constructor',
    );
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4, withCrossShrink: true },
        fc.constantFrom(null, 1, -1.5, 'a', 'ab', true),
        fc.array(tie('tree'), { maxLength: 3 }),
        fc.dictionary(keys, tie('tree'), { maxKeys: 4 }),
      ),
    }));
    const lines = fc.oneof(
      fc.uint8Array(),
      tree.map((value) => recordWithChecksum(JSON.stringify(value))),
      fc
        .constantFrom('{"__proto__":{"evil":1}}', '[{"put":{"__proto__":{"evil":1}}}]', '[null]', '{', '')
        .map(recordWithChecksum),
    );
    fc.assert(
      fc.property(
        fc.array(lines, { maxLength: 6 }),
        fc.boolean(),
        fc.constantFrom('log', 'snapshot'),
        (parts, isHeaded, kind) => {
          const bytes = Buffer.concat([...(isHeaded ? [header] : []), ...parts]);
          try {
            const kept = new Kept();
            for (const write of readRecords('', kind, bytes).writes) kept.apply(write);
          } catch (error) {
            expect(isRollcallError(error) && error.code).toBe('STORE_UNREADABLE');
          }
          expect('evil' in {}).toBe(false);
        },
      ),
      { numRuns: 500 },
    );
  });
});
