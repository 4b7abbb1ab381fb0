import { RollcallError } from '@rollcall/core';
import { homedir, platform } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import type { Shell } from '../../terminal/shell.js';

/** Where a registry keeps what it knows. */
export interface StoreChoice {
  /** Null: in memory. */
  readonly folder: string | null;
  /** Did somebody ask for just this? Else it may be another, if it must. */
  readonly isAsked: boolean;
}

interface Wishes {
  readonly port: number;
  /** A folder, by --data. */
  readonly data: string | undefined;
  /** By --memory. */
  readonly memory: boolean;
}

/**
 * What was asked for; else a folder of the user's own for this port, wherever the command is run. A registry on any free port is
 * found by nobody a second time, so it keeps nothing. Throws OPTION_INVALID where both were asked for.
 */
export function keepingOf({ port, data, memory }: Wishes, env: Shell['env']): StoreChoice {
  if (memory && data !== undefined) {
    throw new RollcallError('OPTION_INVALID', '--memory keeps nothing and --data a folder: leave one of them out.');
  }
  if (data !== undefined) return { folder: resolve(data), isAsked: true };
  if (memory || port === 0) return { folder: null, isAsked: true };
  return { folder: join(stateHome(env), 'rollcall', String(port)), isAsked: false };
}

/** XDG Base Directory Specification 0.8; on Windows what programs there use. */
function stateHome(env: Shell['env']): string {
  const named = platform() === 'win32' ? env['LOCALAPPDATA'] : env['XDG_STATE_HOME'];
  return named !== undefined && isAbsolute(named) ? named : join(homedir(), '.local', 'state');
}
