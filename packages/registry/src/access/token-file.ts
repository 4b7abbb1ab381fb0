import { isRollcallError, messageOf, RollcallError } from '@rollcall/core';
import type { EndingToken, Log, Time, Timer } from '@rollcall/core';
import { lstat, mkdir, open, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { platform } from 'node:os';
import { dirname } from 'node:path';
import { codeOf, troubleText } from '../store/disk/folder.js';
import type { Standing } from './permissions.js';
import { endingTokens, TokenExpiry } from './token-expiry.js';

import { MAX_TOKENS, parseTokens, printTokens, TokenBook, validityOf } from './tokens.js';
import type { TokenRecord } from './tokens.js';

/** The name of the token file in the folder of a registry. */
export const TOKENS_FILE = 'tokens.json';
/** Time between two checks of the file, ms. */
const CHECK_EVERY_MS = 1_000;
const PRIVATE_FILE = 0o600;
const PRIVATE_FOLDER = 0o700;
/** Write permission for the group or others. */
const OTHERS_MAY_WRITE = 0o022;
/** Read permission for the group or others. */
const OTHERS_MAY_READ = 0o044;
/** Write permission for others on a folder, which allows them to replace any file in it unless the folder is sticky. */
const ANYONE_MAY_WRITE = 0o002;
const STICKY = 0o1000;

/**
 * Reads the records of a file; null if there is none. Throws STORE_UNREADABLE with the reason, without content of the
 * file.
 */
export async function readTokens(path: string): Promise<readonly TokenRecord[] | null> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw unreadable(path, `${troubleText(error, 'read')}.`, error);
  }
  const parsed = parseTokens(text);
  if (!parsed.ok) throw unreadable(path, `${parsed.problem}. ${CONTENT_FIX}`);
  return parsed.value;
}

/**
 * Changes a file of tokens. A missing one is created, readable by its owner only, who is the owner of its folder if
 * this process may change the owner. Read permissions are preserved. A concurrent reader, also after a power failure,
 * sees the whole old or the whole new content. For a link, the target is changed. Throws STORE_UNREADABLE, STORE_LOCKED
 * while another process changes it, STORE_FAILED, and errors of `change`: then the file is unchanged.
 */
export async function changeTokens(
  name: string,
  change: (records: readonly TokenRecord[]) => readonly TokenRecord[],
): Promise<void> {
  const path = await behindLinks(name);
  // the draft is its own lock, as only one process can create it
  const draft = `${path}.new`;
  await mkdir(dirname(path), { recursive: true, mode: PRIVATE_FOLDER }).catch((error: unknown) => {
    throw failure(path, error);
  });
  const file = await open(draft, 'wx', PRIVATE_FILE).catch((error: unknown) => {
    throw codeOf(error) === 'EEXIST' ? lockedError(draft) : failure(path, error);
  });
  try {
    const records = change((await readTokens(path)) ?? []);
    if (records.length > MAX_TOKENS) {
      const fix = 'remove the expired and revoked ones from the file';
      throw new RollcallError('OPTION_INVALID', `${path} would hold more than ${MAX_TOKENS} tokens: ${fix}.`);
    }
    const text = printTokens(records);
    try {
      await file.writeFile(text);
      await file.sync();
      await handOver(file, path);
      await file.close();
      await rename(draft, path);
    } catch (error) {
      throw failure(path, error);
    }
  } catch (error) {
    await file.close().catch(() => {});
    await rm(draft, { force: true });
    throw error;
  }
}

/** Resolves links, so that registries that read the file by another name see the change, too. */
async function behindLinks(name: string): Promise<string> {
  try {
    return await realpath(name);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw failure(name, error);
  }
  if ((await lstat(name).catch(() => null)) === null) return name;
  const text = `The tokens in ${name} could not be changed: it is a dangling link. Fix or remove it.`;
  throw new RollcallError('STORE_FAILED', text);
}

/**
 * Keeps owner and readers of the file: the user that runs the registry may differ from the one that changes its tokens.
 */
async function handOver(draft: FileHandle, path: string): Promise<void> {
  const old = await stat(path).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  });
  const { uid, gid } = old ?? (await stat(dirname(path)));
  const readers = (old?.mode ?? 0) & OTHERS_MAY_READ;
  // regardless of the umask of this process
  await draft.chmod(PRIVATE_FILE | readers);
  const own = await draft.stat();
  if (own.uid === uid && own.gid === gid) return;
  await draft.chown(uid, gid).catch((cause: unknown) => {
    // no user loses access if the file is new (a Kubernetes volume belongs to root and is writable by its group), or if
    // its group could not read it
    if (old === null || (own.uid === uid && readers === 0)) return;
    const text = `The tokens in ${path} were not changed: the file belongs to user ${uid} and group ${gid}, and a registry that runs as them could no longer read the file that this user writes. Run this as user ${uid}, or as root.`;
    throw new RollcallError('STORE_FAILED', text, { cause });
  });
}

function failure(path: string, error: unknown): RollcallError {
  if (isRollcallError(error)) return error;
  const why = codeOf(error) === 'EROFS' ? MOUNTED : troubleText(error);
  const text = `The tokens in ${path} could not be changed: ${why}.`;
  return new RollcallError('STORE_FAILED', text, { cause: error });
}

function lockedError(draft: string): RollcallError {
  return new RollcallError(
    'STORE_LOCKED',
    `Another process is changing the tokens: ${draft} exists. Try again; if no such process runs, one was stopped half-way: remove that file.`,
  );
}

function unreadable(path: string, why: string, cause?: unknown): RollcallError {
  return new RollcallError('STORE_UNREADABLE', `The tokens in ${path} cannot be read: ${why}`, { cause });
}

const MOUNTED =
  'it is on a volume that is mounted read-only (EROFS), as a Kubernetes Secret is: change a copy (--tokens <copy>), and replace the source of the volume with it';
const NEXT_START = 'Without it the next start fails, or requires no tokens.';
const CONTENT_FIX = 'Fix or restore the file, or remove it and make new ones with `rollcall token create`.';

/** The ports of the tokens of a running registry. */
export interface TokensPorts {
  readonly path: string;
  readonly time: Time;
  readonly log: Log;
}

/**
 * The tokens of a running registry. It checks the file once a second, so that a new or revoked token takes effect
 * within a second, without a restart. If the file is missing or cannot be read, that is only logged: valid tokens stay
 * valid, and others do not become valid.
 */
export class Tokens {
  readonly #ports: TokensPorts;
  #book: TokenBook;
  /** Identifies the content of the file without reading it. */
  #mark: string;
  #nextExpiry: number;
  #lastFailure = '';
  #timer: Timer | null = null;
  #checking: Promise<void> = Promise.resolve();
  #isClosed = false;
  readonly #listeners: (() => void)[] = [];
  readonly #expiry: TokenExpiry;

  private constructor(ports: TokensPorts, records: readonly TokenRecord[], mark: string) {
    this.#ports = ports;
    this.#book = new TokenBook(records);
    this.#mark = mark;
    this.#nextExpiry = this.#book.nextExpiryAfter(ports.time.wall());
    this.#expiry = new TokenExpiry(ports);
    this.#expiry.follow(records, ports.time.wall());
  }

  /**
   * Reads the file and watches it until `close`. Rejects with OPTION_INVALID if it is missing, or with
   * STORE_UNREADABLE.
   */
  static async open(ports: TokensPorts): Promise<Tokens> {
    const { path, log, time } = ports;
    const mark = await markOf(path);
    const records = await readTokens(path);
    if (records === null) {
      throw new RollcallError(
        'OPTION_INVALID',
        `There is no token file ${path}. Create the first token: rollcall token create --tokens ${path} --role service --service '*'.`,
      );
    }
    if (records.every((record) => validityOf(record, time.wall()) !== 'valid'))
      log.warn(
        `No token in ${path} is valid, so no client has access. rollcall token create makes one; it is valid at once.`,
      );
    await warnOfWriters(ports);
    const tokens = new Tokens(ports, records, mark);
    tokens.#scheduleCheck();
    return tokens;
  }

  /** Looks up a token. */
  find(text: string | null): Standing {
    return this.#book.find(text, this.#ports.time.wall());
  }

  /** True if the token of this id is valid now. Null means no token, so false. */
  isValid(id: string | null): boolean {
    return id !== null && this.#book.isValid(id, this.#ports.time.wall());
  }

  /** The tokens that expire within two weeks, the first to expire first, at most ten. */
  endingSoon(): readonly EndingToken[] {
    return endingTokens(this.#book.records, this.#ports.time.wall());
  }

  /** Calls `listener` each time a token may have become invalid. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Stops watching the file. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#checking;
  }

  #scheduleCheck(): void {
    if (this.#isClosed) return;
    const check = (): void => {
      this.#checking = this.#check().finally(() => this.#scheduleCheck());
    };
    this.#timer = this.#ports.time.setTimer(CHECK_EVERY_MS, check, { background: true });
  }

  async #check(): Promise<void> {
    const hasChanged = await this.#reload();
    const wall = this.#ports.time.wall();
    this.#expiry.follow(this.#book.records, wall);
    if (!hasChanged && wall < this.#nextExpiry) return;
    this.#nextExpiry = this.#book.nextExpiryAfter(wall);
    for (const listener of this.#listeners) listener();
  }

  async #reload(): Promise<boolean> {
    const { path, log } = this.#ports;
    try {
      const mark = await markOf(path);
      if (mark === this.#mark) return false;
      const records = await readTokens(path);
      if (records === null) throw new Error(`There is no file ${path} any more: put it back. ${NEXT_START}`);
      this.#book = new TokenBook(records);
      this.#mark = mark;
      this.#lastFailure = '';
      log.info(`The tokens in ${path} have changed: the new ones apply from now on.`);
      return true;
    } catch (error) {
      const failureText = messageOf(error);
      if (failureText !== this.#lastFailure)
        log.error(`${failureText} Until then the tokens that were read last apply.`);
      this.#lastFailure = failureText;
      return false;
    }
  }
}

/** Size, time and inode of the file behind all links: a mounted secret is changed by changing a link. */
async function markOf(path: string): Promise<string> {
  try {
    const { ino, size, mtimeNs } = await stat(path, { bigint: true });
    return `${ino} ${size} ${mtimeNs}`;
  } catch (error) {
    return codeOf(error) ?? messageOf(error);
  }
}

async function warnOfWriters({ path, log }: TokensPorts): Promise<void> {
  // on Windows the mode does not describe the rights of other users
  if (platform() === 'win32') return;
  const { mode } = await stat(path);
  if ((mode & OTHERS_MAY_WRITE) !== 0)
    log.warn(`Users other than its owner may write ${path}, and so grant themselves any permission: chmod 600 ${path}`);
  const folder = dirname(path);
  if (((await stat(folder)).mode & (ANYONE_MAY_WRITE | STICKY)) !== ANYONE_MAY_WRITE) return;
  log.warn(`Every user of this machine may replace ${path}, and so gain any right: chmod o-w ${folder}`);
}
