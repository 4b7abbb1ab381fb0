// A registry that replaces its log by a snapshot all the time: `<folder> <compactAtBytes>`. It makes no decisions.
import { diskStore, startRegistry } from '@rollcall/registry';

const [folder, compactAtBytes] = process.argv.slice(2);
const store = diskStore({ folder, compactAtBytes: Number(compactAtBytes) });
const { url } = await startRegistry({ port: 0, intervalMs: 3_600_000, store });
console.log(JSON.stringify({ url }));
