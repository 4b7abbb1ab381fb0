import { startRegistry } from '@rollcall/registry';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { answerQuestions } from './dialogue.js';

// A registry with default options, in a process of its own, which reports its memory and the lag of its event loop.

const POLL_MS = 100;
const MIB = 1_048_576;

const warnings: string[] = [];
const log = {
  error: (text: string) => void warnings.push(text),
  warn: (text: string) => void warnings.push(text),
  info: () => {},
  debug: () => {},
};
const registry = await startRegistry({ port: 0, allowedNetworks: ['127.0.0.0/8'], log });
const lag = monitorEventLoopDelay({ resolution: 5 });
lag.enable();
let peak = 0;
const rss = (): number => process.memoryUsage.rss() / MIB;
setInterval(() => (peak = Math.max(peak, rss())), POLL_MS);

answerQuestions({
  /** Resets the measurements. */
  begin: async () => {
    lag.reset();
    peak = rss();
    return { rss: peak };
  },
  /** Since `begin`: memory in MiB, the lag of the event loop in ms. All warnings so far. */
  end: async () => ({ rss: rss(), peak, lagP99: lag.percentile(99) / 1e6, warnings: warnings.length }),
});
process.send?.(registry.url);
