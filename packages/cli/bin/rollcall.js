#!/usr/bin/env node
// npm links the command when it installs a clone, before anything is built: this file must be in the repository. It imports the built
// command, so signals, the terminal and the exit code are those of this process. A published package always has `dist`.
import { existsSync } from 'node:fs';

try {
  await import('../dist/main.js');
} catch (error) {
  // too few to load anything; the command itself reports any other failure of the environment
  const isStarved = error?.code === 'EMFILE' || error?.code === 'ENFILE';
  const isClone = existsSync(new URL('../../../tools/bootstrap.mjs', import.meta.url));
  if (!isStarved && (error?.code !== 'ERR_MODULE_NOT_FOUND' || !isClone)) throw error;
  process.stderr.write(
    isStarved
      ? `rollcall: It cannot be loaded: this process may open no more files (${error.code}). Raise the limit, then run it again: ulimit -n 1024.\n`
      : 'rollcall: this clone is not built: run "npm run build" at its root, then this command again.\n',
  );
  process.exitCode = 1;
}
