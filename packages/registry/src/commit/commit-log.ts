import type { Instance, StoreTrouble } from '@rollcall/core';
import type { Happening } from '../activity/events.js';
import type { Entry } from '../instances/instance-table.js';
import type { Contents, SavedPreservation, StoredInstance, StoredTombstone } from '../store/store.js';

/** A tombstone that is to be committed: the commit assigns its revision. */
export type NewTombstone = Omit<StoredTombstone, 'revision'>;

/**
 * The port between the code that decides and the code that stores and publishes. Each decision about an instance becomes
 * one revision, which goes to the store, to the watchers and into the history. Only an implementation of this port
 * assigns revisions and replaces `Entry.published`.
 */
export interface CommitLog {
  /** The current trouble of the store; null: none is known. */
  readonly trouble: StoreTrouble | null;
  /** Reads what is stored. Call it once, before the first commit. Rejects if the store cannot be read. */
  load(): Promise<Contents>;
  /** Resolves once the store has it. Rejects as the store does: then the write has no effect. Publishes nothing. */
  acknowledge(stored: StoredInstance): Promise<void>;
  /**
   * Commits a decided record, whose revision is replaced. `what`: the event that people read; null: there is none.
   */
  publish(entry: Entry, record: Instance, what: Happening | null): void;
  /** Commits the removal of an instance; `what` as above. */
  remove(entry: Entry, tombstone: NewTombstone, what: Happening): void;
  /** Drops a tombstone for good: watchers whose cursor is older cannot resume any more. */
  forget(tombstone: StoredTombstone): void;
  /** Stores the state of self-preservation together with the records committed in the same turn. */
  preserve(saved: SavedPreservation): void;
  /** Waits until all commits of an id so far are stored or refused. Null: they are stored; else the failure as text. */
  waitUntilStored(id: string): Promise<string | null>;
  /** Tries once more to store what was refused. Idempotent. */
  close(): Promise<void>;
}
