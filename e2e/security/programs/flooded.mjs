// A registry in a process of its own: `<options as JSON>`. Says after SIGUSR2 how much lives in its heap and its buffers.
import { startRegistry } from '@rollcall/registry';

const log = { error: console.error, warn: console.error, info() {}, debug() {} };
const { url } = await startRegistry({ port: 0, allowedNetworks: ['127.0.0.0/8'], log, ...JSON.parse(process.argv[2]) });
console.log(JSON.stringify({ url }));
let asked = 0;
process.on('SIGUSR2', () => {
  globalThis.gc();
  asked += 1;
  const { heapUsed, external } = process.memoryUsage();
  console.log(JSON.stringify({ asked, heap: heapUsed + external }));
});
