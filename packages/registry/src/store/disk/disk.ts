import { option, parseOptions, RollcallError, silentLog, systemRandom, systemTime } from '@rollcall/core';
import type { Log, Random, Time } from '@rollcall/core';
import { resolve as resolvePath } from 'node:path';
import type { Contents, Store, StoreFault, Write } from '../store.js';
import { lockFolder } from './folder-lock.js';
import type { FolderLock, Processes } from './folder-lock.js';
import { troubleText } from './folder.js';
import type { Folder } from './folder.js';
import { closed, GroupCommit } from './group-commit.js';
import { nodeFolder, nodeProcesses } from './node-folder.js';
import { recover } from './recovery.js';

/** The options of a store on disk. */
export interface DiskStoreOptions {
  /** The folder of all data, created if it is missing. One registry at a time. */
  readonly folder: string;
  /** A log of max(this, the size of the last snapshot) bytes is replaced by a snapshot, 1 … 2³⁰. Default 16 MiB. */
  readonly compactAtBytes?: number;
  /** Receives repairs and disk failures. Default: none. */
  readonly log?: Log;
  readonly time?: Time;
  readonly random?: Random;
}

/** One table for the parser and docs/OPTIONS.md. */
export const diskFields = {
  folder: option.string({ doc: 'The folder of all data, created if it is missing. One registry at a time.' }),
  compactAtBytes: option.number({
    doc: 'A log that has grown to max(this, the size of the last snapshot) is replaced by a snapshot.',
    unit: 'bytes',
    default: 16_777_216,
    integer: true,
    min: 1,
    max: 1_073_741_824,
  }),
  log: option.value({
    doc: 'Receives repairs and disk failures. Default: none.',
    allowed: 'a Log',
    default: silentLog,
    is: isPort<Log>,
  }),
  time: option.value({ doc: 'The clock. For tests.', allowed: 'a Time', default: systemTime, is: isPort<Time> }),
  random: option.value({
    doc: 'The source of randomness. For tests.',
    allowed: 'a Random',
    default: systemRandom,
    is: isPort<Random>,
  }),
};

/**
 * A store in a folder of this machine: a log and a snapshot (docs/decisions/0004). Opens nothing before `load`, which
 * rejects with STORE_LOCKED, STORE_UNREADABLE or STORE_FAILED. Throws OPTION_INVALID.
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
  #loading: Promise<GroupCommit> | null = null;
  #life: GroupCommit | null = null;

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

  fault(): StoreFault | null {
    return this.#life?.fault() ?? null;
  }

  async close(): Promise<void> {
    await this.#loading?.then((life) => life.close()).catch(() => undefined);
  }

  async #begin(): Promise<GroupCommit> {
    const { folder, log } = this.#ports;
    const lock = await this.#lock();
    try {
      const life = new GroupCommit(this.#ports, await recover(folder, log), lock);
      await life.begin();
      return life;
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  async #lock(): Promise<FolderLock> {
    const { folder } = this.#ports;
    try {
      await folder.make();
      return await lockFolder({ ...this.#ports, processes: await this.#ports.processes() });
    } catch (error) {
      if (error instanceof RollcallError) throw error;
      const text = `Nothing can be kept in ${folder.path}: ${troubleText(error)}.`;
      throw new RollcallError('STORE_FAILED', text, { cause: error });
    }
  }
}

function isPort<Port>(received: unknown): received is Port {
  return typeof received === 'object' && received !== null;
}
