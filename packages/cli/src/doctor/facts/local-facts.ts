import { existsSync, readFileSync } from 'node:fs';
import { CONTAINER_MARKS, containerIn } from '@rollcall/core';
import type { Shell } from '../../terminal/shell.js';
import type { LocalFacts } from './facts.js';

/** Facts about the environment of this process. Never throws: what cannot be read is unknown. */
export function localFacts(env: Shell['env']): Omit<LocalFacts, 'untried'> {
  const marks = CONTAINER_MARKS.filter((mark) => existsSync(mark));
  const openFiles = /^Max open files\s+(\d+)/m.exec(textOf('/proc/self/limits'))?.[1];
  return {
    container: containerIn({ env, marks, cgroup: textOf('/proc/self/cgroup') }),
    openFiles: openFiles === undefined ? null : Number(openFiles),
  };
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
