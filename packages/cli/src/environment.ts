/**
 * Failures of the environment of a command: files, permissions, space. Imports nothing: it is available even when no
 * other module could be loaded.
 */

type Explanation = readonly [what: string, fix: string];

const KNOWN: Readonly<Record<string, Explanation>> = {
  EMFILE: [
    'this process may open no more files',
    'Raise the limit, then run it again: ulimit -n 1024 (in Docker: --ulimit nofile=1024).',
  ],
  ENFILE: ['this machine may open no more files', 'End what has many open (lsof), or raise fs.file-max.'],
  ENOSPC: ['there is no room left on the disk', 'Free some (df -h, and df -i for inodes), or write elsewhere.'],
  EDQUOT: ['the quota of this user is used up', 'Free some room, or raise the quota.'],
  EACCES: ['this user may not do that', 'Change the rights of the file or its folder, or run it as another user.'],
  EPERM: ['this user may not do that', 'Change the owner or the rights, or run it as another user.'],
  EROFS: ['the disk is mounted read-only', 'Name a folder that may be written, or mount it for writing.'],
  ENOENT: ['there is no such file or folder', 'Check the path.'],
  EISDIR: ['that is a folder, and a file is needed', 'Name the file.'],
  ENOTDIR: ['part of that path is a file, not a folder', 'Check the path.'],
  ELOOP: ['its links lead in a circle', 'Fix the link.'],
  EIO: ['the disk, or the terminal, reports an error of its own', 'Look at the log of the system (dmesg).'],
  ENOMEM: ['there is no memory left', 'End other programs, or give it more memory.'],
  EAGAIN: ['the system has no more processes or threads for this user', 'Raise the limit (ulimit -u), or end some.'],
};

/** The failure, its reason and its fix, in two sentences; null: the error is not a failure of the environment, but a bug. */
export function environmentText(error: unknown): string | null {
  if (!(error instanceof Error)) return null;
  const { code, syscall, path } = error as NodeJS.ErrnoException;
  if (typeof code !== 'string' || typeof syscall !== 'string') return null;
  const known = KNOWN[code];
  if (known === undefined) return null;
  const [what, fix] = known;
  const of = typeof path === 'string' ? ` ${JSON.stringify(path)}` : '';
  return `It could not be done: ${syscall}${of}: ${what} (${code}). ${fix}`;
}
