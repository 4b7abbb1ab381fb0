import type { Log } from '@rollcall/core';
import type { Store } from './store.js';

/**
 * Wraps the store of a registry that requires neither tokens nor client certificates. If it contains instances that had
 * one, its tokens or its CA may be lost, which is logged.
 */
export function openedStore(store: Store, log: Log): Store {
  return {
    name: store.name,
    durable: store.durable,
    close: () => store.close(),
    write: (writes) => store.write(writes),
    fault: () => store.fault?.() ?? null,
    async load() {
      const contents = await store.load();
      const count = contents.instances.filter(({ token = null }) => token !== null).length;
      if (count > 0)
        log.warn(
          `This registry asks for neither token nor client certificate, so any client that reaches it may do everything, but ${count} of the instances in ${store.name} registered with a token or a client certificate: where its file of tokens, or tls.caFile, was lost, stop it and put the file back, or make new tokens with rollcall token create.`,
        );
      return contents;
    },
  };
}
