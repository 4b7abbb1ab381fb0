import { RollcallError } from '@rollcall/core';
import { homedir, platform } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import type { Shell } from '../../terminal/shell.js';

/** The place where a registry stores its data. */
export interface StoreChoice {
  /** Null: in memory. */
  readonly folder: string | null;
  /** True if the user asked for this one. Else another one may be used if necessary. */
  readonly isExplicit: boolean;
}

interface StoreFlags {
  readonly port: number;
  /** A folder, by --data. */
  readonly data: string | undefined;
  /** True with --memory. */
  readonly memory: boolean;
}

/**
 * The requested store; else a folder of the user for this port, independent of the working directory. A
 * registry on any free port is not found again, so it keeps nothing. Throws OPTION_INVALID if both options are given.
 */
export function chooseStore({ port, data, memory }: StoreFlags, env: Shell['env']): StoreChoice {
  if (memory && data !== undefined) {
    throw new RollcallError('OPTION_INVALID', '--memory keeps nothing and --data a folder: leave one of them out.');
  }
  if (data !== undefined) return { folder: resolve(data), isExplicit: true };
  if (memory || port === 0) return { folder: null, isExplicit: true };
  return { folder: join(stateHome(env), 'rollcall', String(port)), isExplicit: false };
}

/** XDG Base Directory Specification 0.8; on Windows the usual folder there. */
function stateHome(env: Shell['env']): string {
  const named = platform() === 'win32' ? env['LOCALAPPDATA'] : env['XDG_STATE_HOME'];
  return named !== undefined && isAbsolute(named) ? named : join(homedir(), '.local', 'state');
}
