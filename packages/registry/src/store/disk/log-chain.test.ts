import { expect, it } from 'vitest';
import { storedInstance } from '../contract.js';
import { Bench } from './disk.fixture.js';

/** Lets what is under way get on until there is such a file. */
async function until(bench: Bench, name: string): Promise<void> {
  for (let turn = 0; turn < 10_000 && !bench.disk.files.has(name); turn += 1) await Promise.resolve();
  expect(bench.disk.files.has(name)).toBe(true);
}

it('a log without a record, created on a full disk, does not prevent the next start', async () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const bench = new Bench(seed);
    const store = bench.store({ compactAtBytes: 1 });
    await store.load();
    await store.write([{ put: storedInstance('a', 1) }]);
    const refused = store.write([{ put: storedInstance('b', 1) }]);
    refused.catch(() => undefined);
    await until(bench, 'log-000000002');
    // its head is written; neither a record nor the snapshot before it can be
    while (bench.disk.files.get('log-000000002')?.length === 0) await Promise.resolve();
    bench.disk.refuse('ENOSPC', ['append']);
    await expect(refused).rejects.toMatchObject({ code: 'STORE_FAILED' });
    await bench.settle();
    bench.disk.repair();
    await store.write([{ put: storedInstance('c', 1) }]);
    bench.disk.end('kill');
    const { instances } = await bench.load();
    expect(instances.map(({ record }) => record.id)).toEqual(['a', 'c']);
  }
});
