import type { RegistryClient } from '@rollcall/client';
import type { forgive } from '@rollcall/core';
import { noBugs } from './bugs.js';
import type { Bugs } from './bugs.js';
import type { PlanConstraints } from './schedule.js';

/** A bug that a developer could introduce, planted from outside: real code has no hooks for it. */
export interface Mutant {
  readonly name: string;
  /** The invariants of which it must break at least one. */
  readonly breaks: readonly string[];
  /** The faults under which it shows, so that it is found soon. */
  readonly constraints: PlanConstraints;
  readonly bugs?: Partial<Bugs>;
  /** Plants it; returns a function that removes it. */
  readonly plant?: () => () => void;
}

/**
 * The function of @rollcall/core that a mutant replaces: functions cannot be patched, so the tests import the package
 * through this.
 */
export const replaced: { forgive: typeof forgive | null } = { forgive: null };

/** Replaces a method of a class until the returned function is called. */
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

/** The same client with another `register`. */
export function withRegister(link: RegistryClient, register: RegistryClient['register']): RegistryClient {
  return {
    name: link.name,
    register,
    releaseConnection: () => link.releaseConnection(),
    beat: (proof, beat) => link.beat(proof, beat),
    suspect: (id, suspicion) => link.suspect(id, suspicion),
    drain: (proof, drain) => link.drain(proof, drain),
    leave: (proof) => link.leave(proof),
    watch: (request, sink) => link.watch(request, sink),
    close: () => link.close(),
  };
}

/** All replacements of a mutant. */
export const bugsOf = ({ bugs }: Mutant): Bugs => ({ ...noBugs, ...bugs });
