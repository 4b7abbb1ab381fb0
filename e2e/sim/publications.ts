import type { Instance } from '@rollcall/core';
import type { Store, Write } from '@rollcall/registry';

/** What the registry decided about one instance, at a revision: its record, or null for its removal. */
export interface Decision {
  readonly revision: number;
  readonly record: Instance | null;
}

/**
 * Everything that one registry process decided, in order: what its watchers must receive. Taken from what it writes to its
 * store, not from its feed, which is measured against it.
 */
export class Publications {
  readonly #services = new Map<string, Map<string, Decision[]>>();
  #revision = 0;

  /** A store that records every write. */
  recordWrites(store: Store): Store {
    return {
      name: store.name,
      durable: store.durable,
      load: () => store.load(),
      write: (writes) => {
        for (const write of writes) this.#recordWrite(write);
        return store.write(writes);
      },
      close: () => store.close(),
    };
  }

  /** By instance, oldest decision first. */
  of(service: string): ReadonlyMap<string, readonly Decision[]> {
    return this.#services.get(service) ?? NO_DECISIONS;
  }

  /** A registration has no revision before it is acknowledged; what the disk refused is written again later. */
  #recordWrite(write: Write): void {
    if ('put' in write)
      this.#add(write.put.record.service, write.put.record.id, write.put.record.revision, write.put.record);
    else if ('bury' in write) this.#add(write.bury.service, write.bury.id, write.bury.revision, null);
  }

  #add(service: string, id: string, revision: number, record: Instance | null): void {
    if (revision <= this.#revision) return;
    this.#revision = revision;
    const decisions = this.#services.get(service) ?? new Map<string, Decision[]>();
    this.#services.set(service, decisions);
    decisions.set(id, [...(decisions.get(id) ?? []), { revision, record }]);
  }
}

const NO_DECISIONS: ReadonlyMap<string, readonly Decision[]> = new Map();

const texts = new WeakMap<Instance, string>();

/** The comparable content of a record: records with the same content have equal texts. */
export function textOf(record: Instance): string {
  const known = texts.get(record);
  if (known !== undefined) return known;
  const { endpoints, reason, next, metadata, ...facts } = record;
  const sorted = Object.entries(facts).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const addresses = endpoints.map(({ protocol, host, port, tls }) => [protocol, host, port, tls]);
  const nextState = next === null ? null : [next.state, next.afterMs, next.unless];
  const text = JSON.stringify([sorted, addresses, reason.code, reason.text, nextState, Object.entries(metadata)]);
  texts.set(record, text);
  return text;
}
