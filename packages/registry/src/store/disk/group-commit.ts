import { RollcallError, silentLog } from '@rollcall/core';
import type { Log, Time, Timer } from '@rollcall/core';
import type { Contents, StoreFault, Write } from '../store.js';
import { isLockName } from './folder-lock.js';
import type { FolderLock } from './folder-lock.js';
import { troubleText } from './folder.js';
import type { Folder } from './folder.js';
import { Journal } from './journal.js';
import { Displaced } from './log-file.js';
import { parseFileName } from './record-file.js';
import type { Recovered } from './recovery.js';

/** Maximum of bytes per record and sync, so that no call waits for a very long one. */
const GROUP_BYTES = 4_194_304;
/** Maximum of bytes that wait for the disk; further calls are refused at once. */
const QUEUE_BYTES = 67_108_864;
/** Interval of the checks for changes of the folder from outside, ms, also while nothing is written. */
const LOOK_EVERY_MS = 500;

export interface GroupCommitPorts {
  readonly folder: Folder;
  readonly time: Time;
  readonly log: Log;
  readonly compactAtBytes: number;
}

interface Call {
  readonly writes: readonly Write[];
  readonly json: string;
  settle(error: unknown): void;
}

/**
 * Group commit, from a `load` to a `close`: calls that arrive while the disk is busy are written together.
 *
 * It also guards its folder. Data appended to a file that was deleted, or moved away with its folder, is on a disk and
 * yet lost, as the next start does not find it. So only data in the file with the right name is acknowledged; if a
 * write or a check finds otherwise, everything is written again at the path, from memory. If that is not allowed,
 * because the folder there belongs to another registry, or because there is none and the former one may return, writes
 * are refused as for a full disk until it is.
 */
export class GroupCommit {
  readonly #ports: GroupCommitPorts;
  readonly #journal: Journal;
  readonly #lock: FolderLock;
  #queue: Call[] = [];
  #queuedBytes = 0;
  #writing: Promise<void> | null = null;
  #closing: Promise<void> | null = null;
  #looker: Timer | null = null;
  #isLookDue = false;
  /** The fault of the folder at the path, and its start. */
  #fault: { readonly text: string; readonly at: number } | null = null;

  constructor(ports: GroupCommitPorts, recovered: Recovered, lock: FolderLock) {
    this.#ports = ports;
    this.#lock = lock;
    this.#journal = new Journal({ ...ports, check: () => this.#check() }, recovered);
  }

  async begin(): Promise<void> {
    await this.#journal.begin();
    this.#lookLater();
  }

  contents(): Contents {
    return this.#journal.contents();
  }

  fault(): StoreFault | null {
    if (this.#fault === null) return null;
    return { text: this.#fault.text, sinceMs: Math.round(this.#ports.time.now() - this.#fault.at) };
  }

  write(writes: readonly Write[]): Promise<void> {
    if (this.#closing !== null) return Promise.reject(closed());
    if (writes.length === 0) return Promise.resolve();
    if (this.#queuedBytes > QUEUE_BYTES) return Promise.reject(tooSlow());
    const json = writes.map((write) => JSON.stringify(write)).join(',');
    return new Promise((done, failed) => {
      const settle = (error: unknown): void => (error === null ? done() : failed(error));
      this.#queue.push({ writes, json, settle });
      this.#queuedBytes += json.length;
      this.#writing ??= this.#drain();
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#looker?.cancel();
    await this.#writing;
    await this.#journal.close();
    await this.#lock.release();
  }

  /** Runs one operation at a time: a check, or the writes of a group. */
  async #drain(): Promise<void> {
    // calls of the same turn of the event loop belong to the first group and succeed or fail together
    await Promise.resolve();
    while (this.#queue.length > 0 || this.#isLookDue) {
      if (this.#isLookDue) await this.#look();
      const group = this.#nextGroup();
      if (group.length === 0) continue;
      const error = await this.#commit(group).then(
        () => null,
        (reason: unknown) => reason,
      );
      for (const call of group) call.settle(error);
    }
    this.#writing = null;
  }

  #nextGroup(): readonly Call[] {
    let bytes = 0;
    const beyond = this.#queue.findIndex(({ json }) => (bytes += json.length) > GROUP_BYTES);
    const group = this.#queue.splice(0, beyond < 0 ? this.#queue.length : Math.max(1, beyond));
    for (const { json } of group) this.#queuedBytes -= json.length;
    return group;
  }

  async #commit(group: readonly Call[]): Promise<void> {
    // the next check detects the end of the fault
    if (this.#fault !== null) throw failed(this.#fault.text);
    if (!(await this.#lock.isHeld())) throw taken(this.#ports.folder);
    const json = `[${group.map((call) => call.json).join(',')}]`;
    const writes = group.flatMap((call) => call.writes);
    const what = await this.#append(writes, json);
    if (what === null) return;
    await this.#repair(what);
    const again = await this.#append(writes, json);
    if (again !== null) throw failed(`In ${this.#ports.folder.path} ${again}, and again after that was repaired.`);
  }

  /** Null: it is stored. Else how the files were changed from outside, and nothing is stored. */
  async #append(writes: readonly Write[], json: string): Promise<string | null> {
    try {
      await this.#journal.append(writes, json);
      return null;
    } catch (error) {
      if (error instanceof Displaced) return error.what;
      throw error;
    }
  }

  // ---- the folder ---------------------------------------------------------------------------------------------------

  #lookLater(): void {
    if (this.#closing !== null) return;
    const look = (): void => {
      this.#isLookDue = true;
      this.#writing ??= this.#drain();
    };
    this.#looker = this.#ports.time.setTimer(LOOK_EVERY_MS, look, { background: true });
  }

  async #look(): Promise<void> {
    this.#isLookDue = false;
    try {
      const fate = await this.#journal.fate();
      if (fate === null) this.#inPlace();
      else await this.#repair(fate);
    } catch {
      // logged where it was thrown, or a failing disk, which proves nothing
    }
    this.#lookLater();
  }

  async #check(): Promise<void> {
    if ((await this.#lock.look()) !== 'held') throw new Displaced('the folder was replaced by another one');
  }

  /**
   * Writes everything again if that is allowed. Rejects with STORE_FAILED or STORE_LOCKED, which then is the fault and
   * logged once.
   */
  async #repair(what: string): Promise<void> {
    const { folder, log } = this.#ports;
    const { path } = folder;
    const standing = await this.#lock.look();
    // it returned meanwhile
    if (standing === 'held' && (await this.#journal.fate()) === null) return this.#inPlace();
    // already logged by the lock
    if (standing === 'lost') throw this.#failed(taken(folder), silentLog);
    if (standing === 'gone') throw this.#failed(failed(gone(path)));
    let aside: readonly string[];
    try {
      if (standing === 'displaced') {
        if (await isOfAnother(folder)) throw failed(another(path));
        await this.#lock.take();
      }
      aside = await this.#journal.renew(what);
    } catch (error) {
      throw this.#failed(error instanceof RollcallError ? error : failed(unwritten(path, what, error)));
    }
    this.#fault = null;
    const happened = standing === 'held' ? `In ${path} ${what}` : `${path} was replaced by another folder`;
    const others = aside.length === 0 ? '' : ` Other files that were there are kept as ${aside.join(', ')}.`;
    log.warn(
      `${happened}, while this registry uses it. Nothing is lost: everything was written anew.${others} ${FIND_OUT}`,
    );
  }

  #inPlace(): void {
    const { folder, log } = this.#ports;
    if (this.#fault !== null) log.info(`${folder.path} is in its place again, with everything in it: nothing is lost.`);
    this.#fault = null;
  }

  #failed(error: RollcallError, log = this.#ports.log): RollcallError {
    const { time } = this.#ports;
    if (this.#fault?.text !== error.message) log.error(error.message);
    this.#fault = { text: error.message, at: this.#fault?.at ?? time.now() };
    return error;
  }
}

/** True if the folder has a lock, a log or a snapshot of any registry. */
async function isOfAnother(folder: Folder): Promise<boolean> {
  return (await folder.list()).some((name) => isLockName(name) || parseFileName(name) !== null);
}

const FIND_OUT = 'Find out who did that: only the registry may change what is in its folder.';
const AT_STAKE =
  'This registry still knows everything, and would lose it if it ended now. Until this is fixed, it refuses registrations; everything else continues.';

const gone = (path: string): string =>
  `${path} is gone: it was deleted or moved away while this registry uses it. ${AT_STAKE} Move it back, or make an empty folder (mkdir ${path}): everything is written there within a second, without a restart.`;

const another = (path: string): string =>
  `${path} was replaced by another folder, with the data of another registry or an earlier copy of its own, while this registry uses it. Nothing there is touched. ${AT_STAKE} Move that folder away and put the former one, or an empty one, in its place: everything is written there within a second, without a restart. Or restart this registry to go on with what is there: running services register again by themselves.`;

const unwritten = (path: string, what: string, error: unknown): string =>
  `In ${path} ${what}, while this registry uses it, and nothing can be written there: ${troubleText(error)}. ${AT_STAKE} It tries again by itself.`;

const failed = (text: string): RollcallError => new RollcallError('STORE_FAILED', text, { retryable: true });

const taken = ({ path }: Folder): RollcallError =>
  new RollcallError(
    'STORE_LOCKED',
    `Another registry has taken over ${path}, the folder of this one. End one of them.`,
  );

export const closed = (): RollcallError =>
  new RollcallError('CLOSED', 'The store is closed: nothing is kept any more.');

function tooSlow(): RollcallError {
  const text = `The disk does not keep up: ${QUEUE_BYTES / 1_048_576} MiB are queued already. Queued writes are still stored.`;
  return new RollcallError('STORE_FAILED', text, { retryable: true });
}
