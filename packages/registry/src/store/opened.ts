import type { Log } from '@rollcall/core';
import type { Store } from './store.js';

/** The store of a registry that asks nobody for a token. Where it knows instances that had one, its tokens may be lost: that is told. */
export function openedStore(store: Store, log: Log): Store {
  return {
    name: store.name,
    durable: store.durable,
    close: () => store.close(),
    write: (writes) => store.write(writes),
    async load() {
      const contents = await store.load();
      const count = contents.instances.filter(({ token = null }) => token !== null).length;
      if (count > 0)
        log.warn(
          `This registry asks for no token, so whoever reaches it may do everything, but ${count} of the instances in ${store.name} registered with one: where its file of tokens was lost, stop it and put the file back, or make new ones with rollcall token create.`,
        );
      return contents;
    },
  };
}
