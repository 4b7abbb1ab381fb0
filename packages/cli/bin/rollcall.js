#!/usr/bin/env node
// npm links the command when it installs a clone, before anything is built: this file must be in the repository. It imports the built
// command, so signals, the terminal and the exit code are those of this process. A published package always has `dist`.
import { existsSync } from 'node:fs';

try {
  await import('../dist/main.js');
} catch (error) {
  const isClone = existsSync(new URL('../../../tools/bootstrap.mjs', import.meta.url));
  if (error?.code !== 'ERR_MODULE_NOT_FOUND' || !isClone) throw error;
  process.stderr.write(
    'rollcall: this clone is not built: run "npm run build" at its root, then this command again.\n',
  );
  process.exitCode = 1;
}
