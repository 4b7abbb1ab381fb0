import type { ContactStatus, ServiceView } from '@rollcall/client';
import { isCallable, option, parseOptions } from '@rollcall/core';
import type { State } from '@rollcall/core';

/** What counts as healthy. Calls go on without a registry, so its absence alone does not, unless that is wanted. */
export interface RollcallHealthOptions {
  /** Services that need somebody who can be called. Default: none; those of `forFeature` need a copy of what the registry knows. */
  readonly services?: readonly string[] | undefined;
  /** Must the registry be there? Default false: a copy serves without it. */
  readonly registry?: boolean | undefined;
  /** Must the registry say HEALTHY of this process, if it has registered? Default false: that is about the way here, too. */
  readonly ownState?: boolean | undefined;
  /** How old a copy may be while the registry is away, 0 … 86,400,000 ms. Default: any age. */
  readonly maxCopyAgeMs?: number | undefined;
}

const NOBODY: readonly string[] = Object.freeze([]);

/** One table for the parser and docs/OPTIONS.md. */
export const healthFields = {
  services: option.list({
    doc: 'Services that need somebody who can be called.',
    item: option.string({ doc: 'A service.' }),
    default: NOBODY,
  }),
  registry: option.boolean({ doc: 'Down while the registry is away, though calls go on.', default: false }),
  ownState: option.boolean({
    doc: 'Down unless the registry says HEALTHY of this process, once it has registered.',
    default: false,
  }),
  maxCopyAgeMs: option.number({
    doc: 'How old a copy may be while the registry is away. Left out, any age.',
    unit: 'ms',
    min: 0,
    max: 86_400_000,
  }),
};

export type HealthOptions = ReturnType<typeof readHealthOptions>;

/** What is known of the copy of one service. */
interface CopyFacts {
  readonly status: ServiceView['status'];
  readonly instances: number;
  readonly callable: number;
  /** Since it was last known to be current; null: there is none. */
  readonly ageMs: number | null;
  readonly isStale: boolean;
}

/** All that is looked at. */
export interface HealthFacts {
  readonly registry: ContactStatus;
  /** What the registry says of this process; null: nothing. */
  readonly state: State | null;
  readonly isDraining: boolean;
  readonly copies: Readonly<Record<string, CopyFacts>>;
}

/** Throws OPTION_INVALID. */
export function readHealthOptions(options: RollcallHealthOptions) {
  return parseOptions(healthFields, options);
}

export function copyFacts(view: ServiceView, now: number): CopyFacts {
  const { status, instances, stale } = view;
  const isThere = status !== 'waiting' || instances.length > 0;
  return {
    status,
    instances: instances.length,
    callable: instances.filter((instance) => isCallable(instance)).length,
    ageMs: isThere ? Math.max(0, Math.round(now - view.confirmedAt)) : null,
    isStale: stale,
  };
}

/** Why not; nothing: all is well. */
export function problemsOf(facts: HealthFacts, wishes: HealthOptions): readonly string[] {
  const { registry, state, isDraining, copies } = facts;
  const problems = Object.entries(copies).flatMap(([service, copy]) => copyProblems(service, copy, wishes));
  if (isDraining) problems.push('This process drains: it takes no new work.');
  if (wishes.registry && registry !== 'connected') problems.push('The registry is away.');
  if (wishes.ownState && state !== null && state !== 'HEALTHY')
    problems.push(`The registry says ${state} of this process.`);
  return problems;
}

function copyProblems(service: string, { ageMs, callable, isStale }: CopyFacts, wishes: HealthOptions): string[] {
  if (ageMs === null) return [`Nothing is known of "${service}" yet: no registry has told of it.`];
  const problems: string[] = [];
  const { maxCopyAgeMs = Infinity } = wishes;
  if (isStale && ageMs > maxCopyAgeMs)
    problems.push(`What is known of "${service}" is ${ageMs} ms old; at most ${maxCopyAgeMs} are allowed.`);
  if (callable === 0 && wishes.services.includes(service)) problems.push(`Nobody of "${service}" can be called.`);
  return problems;
}
