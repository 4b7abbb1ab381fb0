import type { RegistryClient } from '@rollcall/client';
import type { forgive } from '@rollcall/core';
import { noBugs } from './bugs.js';
import type { Bugs } from './bugs.js';
import type { Diet } from './schedule.js';

/** A bug that somebody could make, planted from outside: real code has no hooks for it. */
export interface Mutant {
  readonly name: string;
  /** The invariants of which it must break one. */
  readonly breaks: readonly string[];
  /** The faults under which it shows, so that it is found soon. */
  readonly diet: Diet;
  readonly bugs?: Partial<Bugs>;
  /** Plants it; returns how to pull it out again. */
  readonly plant?: () => () => void;
}

/** What of @rollcall/core a mutant replaces: functions cannot be patched, so the tests import the package through this. */
export const replaced: { forgive: typeof forgive | null } = { forgive: null };

/** Replaces a method of a class until what is returned is called. */
export function patch<Class extends object, Name extends keyof Class>(
  prototype: Class,
  name: Name,
  replace: (original: Class[Name]) => Class[Name],
): () => void {
  const original = prototype[name];
  prototype[name] = replace(original);
  return () => {
    prototype[name] = original;
  };
}

/** The same link, but for how it registers. */
export function registeringBy(link: RegistryClient, register: RegistryClient['register']): RegistryClient {
  return {
    name: link.name,
    register,
    letGo: () => link.letGo(),
    beat: (proof, beat) => link.beat(proof, beat),
    suspect: (id, suspicion) => link.suspect(id, suspicion),
    drain: (proof, drain) => link.drain(proof, drain),
    leave: (proof) => link.leave(proof),
    watch: (request, sink) => link.watch(request, sink),
    close: () => link.close(),
  };
}

/** The bugs of a mutant, complete. */
export const bugsOf = ({ bugs }: Mutant): Bugs => ({ ...noBugs, ...bugs });
