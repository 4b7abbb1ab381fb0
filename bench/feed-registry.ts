import { diskStore, startRegistry } from '@rollcall/registry';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { answerQuestions } from './dialogue.js';

// A registry in a process of its own, which reports the lag of its event loop. Its argument: the folder of its store;
// none: memory.

const [, , folder] = process.argv;
const registry = await startRegistry({
  port: 0,
  allowedNetworks: ['127.0.0.0/8'],
  maxInstances: 40_000,
  ...(folder === undefined ? {} : { store: diskStore({ folder }) }),
});
const lag = monitorEventLoopDelay({ resolution: 5 });
lag.enable();

answerQuestions({
  /** Resets the measurements. */
  begin: async () => {
    lag.reset();
    return null;
  },
  /** Since `begin`, ms. */
  lag: async () => ({ p99Ms: lag.percentile(99) / 1e6, maxMs: lag.max / 1e6 }),
});
process.send?.(registry.url);
