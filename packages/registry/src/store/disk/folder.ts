/**
 * A folder on a disk, as the disk store needs it: few verbs, so that a test can be a disk that tears, forgets and fails. Names are
 * plain file names in this folder. Every verb may reject, with what the system says (`code`: ENOSPC, EIO …).
 */
export interface Folder {
  /** Where it is, for people. */
  readonly path: string;
  /** Makes it, and what lies above it, where it is missing. */
  make(): Promise<void>;
  list(): Promise<readonly string[]>;
  /** All of a file; ENOENT where there is none. */
  read(name: string): Promise<Uint8Array>;
  /** A new file, empty; EEXIST where there is one. */
  create(name: string): Promise<FolderFile>;
  /** At once and whole; what had the new name is gone. */
  rename(from: string, to: string): Promise<void>;
  /** Does nothing where there is no such file. */
  remove(name: string): Promise<void>;
  /** The names that were made, changed and removed so far survive a loss of power from now on. */
  sync(): Promise<void>;
  /** Changes what `touchedAt` tells of a file. */
  touch(name: string): Promise<void>;
  /** When a file was touched last, on a clock of the disk's own: only good to see whether it changes. */
  touchedAt(name: string): Promise<number>;
  /** Bytes; null where there is no such file. */
  sizeOf(name: string): Promise<number | null>;
  /** Tells the folder that has this path now from another one, while it exists; null: there is none. Nothing is kept open for it. */
  id(): Promise<string | null>;
}

/**
 * What a name leads to, beside what it once led to: `here`, still the same; `gone`, nothing; `replaced`, something else. Where the system
 * does not say, `here`: a disk that fails at a look proves nothing.
 */
export type Place = 'here' | 'gone' | 'replaced';

/** A file that is open for writing. Only what was written before a `sync` that succeeded survives a loss of power. */
export interface FolderFile {
  /** Writes behind what is there. When it rejects, any part of it may be there. */
  append(bytes: Uint8Array): Promise<void>;
  /** Cuts the file to so many bytes. */
  truncate(length: number): Promise<void>;
  sync(): Promise<void>;
  /** Bytes, also those that others have written or cut. */
  size(): Promise<number>;
  place(): Promise<Place>;
  close(): Promise<void>;
}

/** The word by which the system names a failure (ENOSPC, EIO …); null where it has none. */
export function codeOf(error: unknown): string | null {
  if (typeof error !== 'object' || error === null || !('code' in error)) return null;
  return typeof error.code === 'string' ? error.code : null;
}

/** What failed and what to do about it, in words, when this was `tried`: `the disk is full (ENOSPC): free some space`. */
export function troubleText(error: unknown, tried: 'read' | 'write' = 'write'): string {
  const code = codeOf(error);
  const isDenied = code === 'EACCES' || code === 'EPERM';
  const known = isDenied ? DENIED[tried] : TROUBLES[code ?? ''];
  return known === undefined
    ? String(error instanceof Error ? error.message : error)
    : `${known[0]} (${code}): ${known[1]}`;
}

type Trouble = readonly [what: string, fix: string];

const DENIED: Readonly<Record<'read' | 'write', Trouble>> = {
  read: ['this user may not read there', 'change the rights of the file or the folder, or its owner'],
  write: ['this user may not write there', 'change the rights of the folder'],
};

const TROUBLES: Readonly<Record<string, Trouble>> = {
  ENOSPC: ['the disk is full', 'free some space on it'],
  EDQUOT: ['the quota of this user is used up', 'free some space, or raise it'],
  EIO: ['the disk reports an error of its own', 'look at the system log, and replace it'],
  EROFS: ['the disk is mounted read-only', 'mount it for writing'],
  ENOTDIR: ['part of the path is a file', 'name another folder'],
  EMFILE: ['this process may open no more files', 'raise its limit (ulimit -n)'],
  ENFILE: ['this system may open no more files', 'raise its limit'],
};
