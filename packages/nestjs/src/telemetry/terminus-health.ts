import type { ContactStatus, ServiceView } from '@rollcall/client';
import { isCallable, option, parseOptions } from '@rollcall/core';
import type { State } from '@rollcall/core';

/** The conditions of health. Calls continue without a registry, so its absence counts only if configured. */
export interface RollcallHealthOptions {
  /**
   * Services that need a callable instance. Default: none; those of `forFeature` need a copy of what the registry
   * knows.
   */
  readonly services?: readonly string[] | undefined;
  /** True if the registry must be reachable. Default false: a copy suffices. */
  readonly registry?: boolean | undefined;
  /**
   * Whether the registry must report this process HEALTHY, if it has registered. Default false: that also depends on
   * the network path.
   */
  readonly ownState?: boolean | undefined;
  /** The oldest allowed copy while the registry is unreachable, 0 … 86,400,000 ms. Default: any age. */
  readonly maxCopyAgeMs?: number | undefined;
}

const NONE: readonly string[] = Object.freeze([]);

/** The options for the parser and docs/OPTIONS.md. */
export const healthFields = {
  services: option.list({
    doc: 'Services that need a callable instance.',
    item: option.string({ doc: 'A service.' }),
    default: NONE,
  }),
  registry: option.boolean({ doc: 'Down while the registry is unreachable, though calls continue.', default: false }),
  ownState: option.boolean({
    doc: 'Down unless the registry reports this process HEALTHY, once it has registered.',
    default: false,
  }),
  maxCopyAgeMs: option.number({
    doc: 'The oldest allowed copy while the registry is unreachable. Left out, any age.',
    unit: 'ms',
    min: 0,
    max: 86_400_000,
  }),
};

export type HealthOptions = ReturnType<typeof readHealthOptions>;

/** The copy of one service. */
interface CopyFacts {
  readonly status: ServiceView['status'];
  readonly instances: number;
  readonly callable: number;
  /** The time since it was last known to be current; null without a copy. */
  readonly ageMs: number | null;
  readonly isStale: boolean;
}

/** Everything that the health check reads. */
export interface HealthFacts {
  readonly registry: ContactStatus;
  /** The state of this process in the registry; null if unknown. */
  readonly state: State | null;
  readonly isDraining: boolean;
  readonly copies: Readonly<Record<string, CopyFacts>>;
}

/** Parses the options. Throws OPTION_INVALID. */
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

/** The problems; empty if all is well. */
export function problemsOf(facts: HealthFacts, options: HealthOptions): readonly string[] {
  const { registry, state, isDraining, copies } = facts;
  const problems = Object.entries(copies).flatMap(([service, copy]) => copyProblems(service, copy, options));
  if (isDraining) problems.push('This process drains: it takes no new work.');
  if (options.registry && registry !== 'connected') problems.push('The registry is unreachable.');
  if (options.ownState && state !== null && state !== 'HEALTHY')
    problems.push(`The registry reports this process ${state}.`);
  return problems;
}

function copyProblems(service: string, { ageMs, callable, isStale }: CopyFacts, options: HealthOptions): string[] {
  if (ageMs === null) return [`Nothing is known of "${service}" yet: no registry has reported it.`];
  const problems: string[] = [];
  const { maxCopyAgeMs = Infinity } = options;
  if (isStale && ageMs > maxCopyAgeMs)
    problems.push(`What is known of "${service}" is ${ageMs} ms old; at most ${maxCopyAgeMs} are allowed.`);
  if (callable === 0 && options.services.includes(service)) problems.push(`No instance of "${service}" can be called.`);
  return problems;
}
