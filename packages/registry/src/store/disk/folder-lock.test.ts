import { describe, expect, it } from 'vitest';
import { storedInstance } from '../contract.js';
import { Bench } from './disk.fixture.js';

const put = (id: string) => [{ put: storedInstance(id, 1) }];
const unseen = (): null => null;

describe('the lock of a folder', () => {
  it('is taken over at once from a process that is dead', async () => {
    const bench = new Bench();
    await bench.store().load();
    bench.disk.end('kill');
    await bench.store().load();
    expect(bench.log.texts('info')).toEqual([
      '/data was left locked by process 1 that is gone: this one takes it over.',
    ]);
  });

  it('is not taken over from one that lives', async () => {
    const bench = new Bench();
    const first = bench.store();
    await first.load();
    await expect(bench.store({ isAlive: () => true }).load()).rejects.toMatchObject({
      code: 'STORE_LOCKED',
      message: expect.stringContaining('(process 1)'),
    });
    await first.write(put('a'));
  });

  it('is watched if its process cannot be seen: a live process touches it', async () => {
    const bench = new Bench();
    await bench.store().load();
    await expect(bench.load(bench.store({ isAlive: unseen }))).rejects.toMatchObject({ code: 'STORE_LOCKED' });
  });

  it('is taken over if its process cannot be seen and does not touch it', async () => {
    const bench = new Bench();
    const first = bench.store();
    await first.load();
    await first.write(put('a'));
    bench.disk.end('kill');
    expect((await bench.load(bench.store({ isAlive: unseen }))).instances).toHaveLength(1);
  });

  it('is watched in the same way if it is only half written, or not at all', async () => {
    const bench = new Bench();
    for (const text of ['', '{"pid":', 'null', '{"pid":0,"space":"here"}']) {
      bench.disk.plant('lock-000000007', Buffer.from(text));
      const store = bench.store({ isAlive: () => true });
      await bench.load(store);
      await store.close();
    }
  });

  it('keeps its holder from writing if it was lost while the holder was frozen', async () => {
    const bench = new Bench();
    const frozen = bench.store({
      time: { now: () => bench.time.now(), wall: () => 0, setTimer: () => ({ cancel() {} }) },
    });
    await frozen.load();
    await frozen.write(put('a'));
    const next = bench.store({ isAlive: unseen });
    await bench.load(next);
    await expect(frozen.write(put('b'))).rejects.toMatchObject({ code: 'STORE_LOCKED' });
    expect(bench.log.texts('error')).toEqual([expect.stringContaining('Another registry has taken over /data')]);
    await frozen.close();
    await next.write(put('c'));
    await next.close();
    expect((await bench.store().load()).instances.map(({ record }) => record.id)).toEqual(['a', 'c']);
  });

  it('is put back if it was removed by hand', async () => {
    const bench = new Bench();
    const store = bench.store();
    await store.load();
    await bench.disk.mount().remove('lock-000000001');
    await bench.time.advanceBy(1_000);
    expect(bench.disk.files.has('lock-000000001')).toBe(true);
  });

  it('is gone after a close, and with it its timer', async () => {
    const bench = new Bench();
    const store = bench.store();
    await store.load();
    await store.close();
    expect(bench.disk.files.has('lock-000000001.free')).toBe(true);
    expect(bench.time.pending()).toEqual({ foreground: 0, background: 0 });
  });

  it('is free again if the store could not be read', async () => {
    const bench = new Bench();
    bench.disk.plant('snapshot-000000001', Buffer.from('hello'));
    await expect(bench.store().load()).rejects.toMatchObject({ code: 'STORE_UNREADABLE' });
    expect(bench.disk.files.has('lock-000000001.free')).toBe(true);
  });

  it.each(['dead', 'free', 'new'])('goes to one of many concurrent processes if it is %s', async (state) => {
    for (let seed = 0; seed < 200; seed += 1) {
      const bench = new Bench(seed);
      const first = bench.store();
      if (state !== 'new') await first.load();
      if (state === 'free') await first.close();
      bench.disk.end('kill');
      const stores = Array.from({ length: 6 }, () => bench.store({ isAlive: ({ pid }) => pid > 1 }));
      const loads = Promise.allSettled(stores.map((store) => store.load()));
      await bench.time.advanceBy(30_000);
      const refused = (await loads).flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
      expect(refused).toEqual(Array.from({ length: 5 }, () => expect.objectContaining({ code: 'STORE_LOCKED' })));
    }
  });

  it('is held by at most one process at a time while processes start, stop and die', async () => {
    let taken = 0;
    for (let seed = 0; seed < 500; seed += 1) {
      const bench = new Bench(seed);
      const alive = new Set<number>();
      const holders = new Set<number>();
      const live = async (pid: number): Promise<void> => {
        alive.add(pid);
        const lock = await bench.lock(pid, alive).catch(() => null);
        if (lock !== null) {
          expect([...holders]).toEqual([]);
          taken += 1;
          holders.add(pid);
          for (let ticks = bench.random.unit() * 20; ticks > 0; ticks -= 1) await Promise.resolve();
          holders.delete(pid);
          if (bench.random.unit() < 0.7) await lock.release();
        }
        alive.delete(pid);
      };
      const lines = [1, 2, 3, 4, 5].map(async (line) => {
        for (let turn = 0; turn < 10; turn += 1) await live(10 * line + turn);
      });
      await bench.time.advanceBy(60_000);
      await Promise.all(lines);
    }
    expect(taken).toBeGreaterThan(1_000);
  });
});
