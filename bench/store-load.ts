/** The load time of the store of a folder, in a process that has done nothing else: `<folder>`. Prints it in ms. */
import { diskStore } from '@rollcall/registry';

const [folder = ''] = process.argv.slice(2);
const store = diskStore({ folder });
const startedAt = performance.now();
const { instances } = await store.load();
const ms = performance.now() - startedAt;
await store.close();
process.send?.(JSON.stringify({ ms, instances: instances.length }));
