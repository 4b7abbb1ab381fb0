import { option, parseOptions, RollcallError, silentLog, systemRandom, systemTime } from '@rollcall/core';
import type { Log, Random, Time } from '@rollcall/core';
import { resolve as resolvePath } from 'node:path';
import { troubleText } from './folder.js';
import type { Folder } from './folder.js';
import { lockFolder } from './folder-lock.js';
import type { FolderLock, Processes } from './folder-lock.js';
import { Journal } from './journal.js';
import { nodeFolder, nodeProcesses } from './node-folder.js';
import { recover } from './recovery.js';
import type { Contents, Store, Write } from './store.js';

/** How a store on disk is made. */
export interface DiskStoreOptions {
  /** Where everything is kept; made where it is missing. One registry at a time. */
  readonly folder: string;
  /** A log that has grown to max(this, the size of the last snapshot) bytes is replaced by a snapshot, 1 … 2³⁰. Default 16 MiB. */
  readonly compactAtBytes?: number;
  /** Who is told of repairs and of what the disk refuses. Default: nobody. */
  readonly log?: Log;
  readonly time?: Time;
  readonly random?: Random;
}

/** One table for the parser and docs/OPTIONS.md. */
export const diskFields = {
  folder: option.string({ doc: 'Where everything is kept; made where it is missing. One registry at a time.' }),
  compactAtBytes: option.number({
    doc: 'A log that has grown to max(this, the size of the last snapshot) is replaced by a snapshot.',
    unit: 'bytes',
    default: 16_777_216,
    integer: true,
    min: 1,
    max: 1_073_741_824,
  }),
  log: option.value({
    doc: 'Who is told of repairs and of what the disk refuses. Default: nobody.',
    allowed: 'a Log',
    default: silentLog,
    is: isPort<Log>,
  }),
  time: option.value({ doc: 'The clock. For tests.', allowed: 'a Time', default: systemTime, is: isPort<Time> }),
  random: option.value({ doc: 'Chance. For tests.', allowed: 'a Random', default: systemRandom, is: isPort<Random> }),
};

/**
 * A store in a folder of this machine: a log and a snapshot (docs/decisions/0004). Opens nothing before `load`, which rejects with
 * STORE_LOCKED, STORE_UNREADABLE or STORE_FAILED. Throws OPTION_INVALID.
 */
export function diskStore(options: DiskStoreOptions): Store {
  const { folder, ...rest } = parseOptions(diskFields, options);
  if (folder === undefined)
    throw new RollcallError('OPTION_INVALID', 'folder is missing: where is everything to be kept?');
  return new DiskStore({ ...rest, folder: nodeFolder(resolvePath(folder), rest.time), processes: nodeProcesses });
}

export interface DiskStorePorts {
  readonly folder: Folder;
  readonly processes: () => Promise<Processes>;
  readonly log: Log;
  readonly time: Time;
  readonly random: Random;
  readonly compactAtBytes: number;
}

/** See `diskStore`. */
export class DiskStore implements Store {
  readonly name: string;
  readonly durable = true;
  readonly #ports: DiskStorePorts;
  #loading: Promise<Life> | null = null;
  #life: Life | null = null;

  constructor(ports: DiskStorePorts) {
    this.#ports = ports;
    this.name = `disk ${ports.folder.path}`;
  }

  async load(): Promise<Contents> {
    await this.close();
    this.#loading = this.#begin();
    this.#life = await this.#loading;
    return this.#life.contents();
  }

  write(writes: readonly Write[]): Promise<void> {
    return this.#life === null ? Promise.reject(closed()) : this.#life.write(writes);
  }

  async close(): Promise<void> {
    await this.#loading?.then((life) => life.close()).catch(() => undefined);
  }

  async #begin(): Promise<Life> {
    const { folder, log, processes } = this.#ports;
    const lock = await this.#lock(processes);
    try {
      const journal = new Journal(this.#ports, await recover(folder, log));
      await journal.begin();
      return new Life(journal, lock);
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  async #lock(processes: () => Promise<Processes>): Promise<FolderLock> {
    const { folder } = this.#ports;
    try {
      await folder.make();
      return await lockFolder({ ...this.#ports, processes: await processes() });
    } catch (error) {
      if (error instanceof RollcallError) throw error;
      const text = `Nothing can be kept in ${folder.path}: ${troubleText(error)}.`;
      throw new RollcallError('STORE_FAILED', text, { cause: error });
    }
  }
}

/** Calls that share one record, and so one sync: at most about this much, that none waits for a very long one. */
const GROUP_BYTES = 4_194_304;
/** More than this waits for no disk: it is refused at once. */
const QUEUE_BYTES = 67_108_864;

interface Call {
  readonly writes: readonly Write[];
  readonly json: string;
  settle(error: unknown): void;
}

/** From a `load` to a `close`: group commit. Whatever is asked for while the disk is busy goes to it together. */
class Life {
  readonly #journal: Journal;
  readonly #lock: FolderLock;
  #queue: Call[] = [];
  #queuedBytes = 0;
  #writing: Promise<void> | null = null;
  #closing: Promise<void> | null = null;

  constructor(journal: Journal, lock: FolderLock) {
    this.#journal = journal;
    this.#lock = lock;
  }

  contents(): Contents {
    return this.#journal.contents();
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
    await this.#writing;
    await this.#journal.close();
    await this.#lock.release();
  }

  async #drain(): Promise<void> {
    // what this turn of the event loop still asks for belongs to the first group: it stands or falls together
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const group = this.#nextGroup();
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
    if (!(await this.#lock.isHeld())) {
      throw new RollcallError(
        'STORE_LOCKED',
        'Another registry has taken over the folder of this one. End one of them.',
      );
    }
    const json = `[${group.map((call) => call.json).join(',')}]`;
    await this.#journal.append(
      group.flatMap((call) => call.writes),
      json,
    );
  }
}

const closed = (): RollcallError => new RollcallError('CLOSED', 'The store is closed: nothing is kept any more.');

function tooSlow(): RollcallError {
  const text = `The disk does not keep up: ${QUEUE_BYTES / 1_048_576} MiB wait for it already. What it takes meanwhile is kept.`;
  return new RollcallError('STORE_FAILED', text, { retryable: true });
}

function isPort<Port>(received: unknown): received is Port {
  return typeof received === 'object' && received !== null;
}
