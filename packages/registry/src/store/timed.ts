import type { Meter, Time } from '@rollcall/core';
import type { Store } from './store.js';

/** Wraps a store to measure the duration of writes and count their failures. */
export function timedStore(
  store: Store,
  { time, meter }: { readonly time: Pick<Time, 'now'>; readonly meter: Meter },
): Store {
  const seconds = meter.histogram('rollcall_registry_store_write_seconds', 'Duration of a write of the store.');
  const failures = meter.counter('rollcall_registry_store_failures_total', 'Writes that failed in the store.');
  return {
    name: store.name,
    durable: store.durable,
    load: () => store.load(),
    close: () => store.close(),
    fault: () => store.fault?.() ?? null,
    async write(writes) {
      const begunAt = time.now();
      try {
        await store.write(writes);
      } catch (error) {
        failures.add(1);
        throw error;
      } finally {
        seconds.record((time.now() - begunAt) / 1_000);
      }
    },
  };
}
