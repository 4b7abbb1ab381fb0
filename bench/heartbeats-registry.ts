import { noMeter } from '@rollcall/core';
import type { Histogram, Meter } from '@rollcall/core';
import { startRegistry } from '@rollcall/registry';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { answerQuestions } from './dialogue.js';
import { quantile } from './harness.js';

// A registry in a process of its own which reports its CPU time, and how late its probes were. Its arguments: the
// maximum number of instances, the interval in ms, freshEvery.

const [, , max = '20000', intervalMs = '5000', freshEvery = '1'] = process.argv;
let late: number[] = [];
const lateness: Histogram<readonly string[]> = { record: (seconds) => void late.push(seconds * 1_000) };
const meter: Meter = {
  ...noMeter,
  histogram: (name, ...rest) =>
    name === 'rollcall_registry_heartbeat1_lateness_seconds' ? lateness : noMeter.histogram(name, ...rest),
};
const registry = await startRegistry({
  port: 0,
  allowedNetworks: ['127.0.0.0/8'],
  maxInstances: 2 * Number(max),
  intervalMs: Number(intervalMs),
  freshEvery: Number(freshEvery),
  meter,
});
const lag = monitorEventLoopDelay({ resolution: 5 });
lag.enable();

answerQuestions({
  /** Resets the measurements. */
  begin: async () => {
    lag.reset();
    late = [];
    return process.cpuUsage();
  },
  /** Since `begin`: CPU in µs; the delay of probes, and the lag of the event loop, in ms. */
  end: async () => ({
    cpu: process.cpuUsage(),
    lateP99: quantile(late, 0.99),
    lagP99: lag.percentile(99) / 1e6,
  }),
});
process.send?.(registry.url);
