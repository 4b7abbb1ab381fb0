import type { Instance, Log, StoreTrouble, Time } from '@rollcall/core';
import type { EventHistory, Happening } from '../activity/events.js';
import type { Feed } from '../feed/feed.js';
import { storedOf } from '../instances/instance-table.js';
import type { Entry, InstanceTable } from '../instances/instance-table.js';
import type { Contents, SavedPreservation, Store, StoredInstance, StoredTombstone } from '../store/store.js';
import { WriteBehind } from '../store/write-behind.js';
import type { CommitLog, NewTombstone } from './commit-log.js';

export interface StandaloneCommitLogPorts {
  readonly time: Time;
  readonly log: Log;
  readonly store: Store;
  readonly table: Pick<InstanceTable, 'update' | 'bury' | 'forget'>;
  readonly feed: Pick<Feed, 'startAt' | 'nextRevision' | 'publish' | 'bury' | 'gone' | 'forget'>;
  readonly history: Pick<EventHistory, 'noteOf'>;
}

/**
 * The commits of a registry that shares its store with no other: a decision is published at once, and stored in the
 * background.
 */
export class StandaloneCommitLog implements CommitLog {
  readonly #ports: StandaloneCommitLogPorts;
  readonly #writeBehind: WriteBehind;

  constructor(ports: StandaloneCommitLogPorts) {
    this.#ports = ports;
    this.#writeBehind = new WriteBehind(ports);
  }

  get trouble(): StoreTrouble | null {
    return this.#writeBehind.trouble;
  }

  async load(): Promise<Contents> {
    const { store, feed } = this.#ports;
    const contents = await store.load();
    let highest = 0;
    for (const { record } of contents.instances) highest = Math.max(highest, record.revision);
    for (const { revision } of contents.tombstones) highest = Math.max(highest, revision);
    feed.startAt(highest);
    return contents;
  }

  acknowledge(stored: StoredInstance): Promise<void> {
    return this.#writeBehind.acknowledge({ put: stored });
  }

  publish(entry: Entry, record: Instance, what: Happening | null): void {
    const { feed, table, history } = this.#ports;
    const published = { ...record, revision: feed.nextRevision() };
    table.update(entry, { record: published });
    entry.published = published;
    this.#writeBehind.remember({ put: storedOf(entry) });
    feed.publish(published);
    if (what !== null) history.noteOf(published, what);
  }

  remove(entry: Entry, newTombstone: NewTombstone, what: Happening): void {
    const { feed, table, time, history } = this.#ports;
    const revision = feed.nextRevision();
    const tombstone = { ...newTombstone, revision };
    const { id, namespace, service, reason } = tombstone;
    table.bury(entry, tombstone, time.now());
    this.#writeBehind.remember({ bury: tombstone });
    feed.bury(namespace, service, { id, revision, reason });
    feed.gone(id, reason);
    history.noteOf({ ...entry.record, revision }, what);
  }

  forget(tombstone: StoredTombstone): void {
    const { feed, table } = this.#ports;
    table.forget(tombstone.id);
    feed.forget(tombstone);
    this.#writeBehind.remember({ forget: tombstone.id });
  }

  preserve(saved: SavedPreservation): void {
    this.#writeBehind.remember({ preserve: saved });
  }

  waitUntilStored(id: string): Promise<string | null> {
    return this.#writeBehind.waitUntilStored(id);
  }

  close(): Promise<void> {
    return this.#writeBehind.close();
  }
}
