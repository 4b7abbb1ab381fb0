/**
 * A folder on a disk, as the disk store needs it: few operations, so that a test can implement a disk that tears, loses
 * data and fails. Names are plain file names in this folder. Every operation may reject with the error of the system
 * (`code`: ENOSPC, EIO …).
 */
export interface Folder {
  /** Its path, for messages. */
  readonly path: string;
  /** Creates it and missing parent folders. */
  make(): Promise<void>;
  list(): Promise<readonly string[]>;
  /** Reads a whole file; ENOENT if there is none. */
  read(name: string): Promise<Uint8Array>;
  /** Creates an empty file; EEXIST if there is one. */
  create(name: string): Promise<FolderFile>;
  /** Renames atomically; a file with the new name is replaced. */
  rename(from: string, to: string): Promise<void>;
  /** A no-op if there is no such file. */
  remove(name: string): Promise<void>;
  /** Makes all names created, changed and removed so far survive a power failure. */
  sync(): Promise<void>;
  /** Changes the `touchedAt` of a file. */
  touch(name: string): Promise<void>;
  /** The last touch of a file, by the clock of the disk: only useful to detect changes. */
  touchedAt(name: string): Promise<number>;
  /** Size in bytes; null if there is no such file. */
  sizeOf(name: string): Promise<number | null>;
  /** Identifies the folder at this path while it exists; null: there is none. Keeps nothing open. */
  id(): Promise<string | null>;
}

/**
 * What a name refers to compared with before: `here`, the same; `gone`, nothing; `replaced`, something else. If the
 * system does not answer, `here`: a failing disk proves nothing.
 */
export type Place = 'here' | 'gone' | 'replaced';

/** A file open for writing. Only data before a successful `sync` survives a power failure. */
export interface FolderFile {
  /** Appends bytes. If it rejects, any part of them may have been written. */
  append(bytes: Uint8Array): Promise<void>;
  /** Truncates the file to this length, bytes. */
  truncate(length: number): Promise<void>;
  sync(): Promise<void>;
  /** Size in bytes, including changes by other processes. */
  size(): Promise<number>;
  place(): Promise<Place>;
  close(): Promise<void>;
}

/** The error code of the system (ENOSPC, EIO …); null if there is none. */
export function codeOf(error: unknown): string | null {
  if (typeof error !== 'object' || error === null || !('code' in error)) return null;
  return typeof error.code === 'string' ? error.code : null;
}

/** Describes a failure to read or write, and the fix: `the disk is full (ENOSPC): free some space`. */
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
