/**
 * The rule that decides which instances callers call, shared by callers, the registry, the command line and the
 * dashboard.
 */
import { STATES } from '../lifecycle/vitals.js';
import type { State } from '../lifecycle/vitals.js';
import { AWAY_STATES } from './instance.js';
import type { AdminState, AwayState, Instance } from './instance.js';

/**
 * States in which callers call an instance by default; the option `allowedStates` overrides them. Better ones are
 * preferred.
 */
export const CALLABLE_STATES: readonly State[] = ['HEALTHY', 'REGISTERING', 'UNHEALTHY'];

/**
 * True if a caller that allows these states may call the instance: no state makes up for an admin state other than
 * ENABLED.
 */
export function isCallableIn({ state, admin }: Pick<Instance, 'state' | 'admin'>, states: readonly State[]): boolean {
  return admin === 'ENABLED' && states.includes(state);
}

/**
 * True if callers call the instance by default. The weight does not matter: callers skip an instance of weight 0 only
 * while an equally good one has a weight, so a service whose instances all have weight 0 is still called.
 */
export function isCallable(instance: Pick<Instance, 'state' | 'admin'>): boolean {
  return isCallableIn(instance, CALLABLE_STATES);
}

/** Like `isCallable`, but not REGISTERING: the instance can replace another one. */
export function isSubstitute(instance: Pick<Instance, 'state' | 'admin'>): boolean {
  return isCallable(instance) && instance.state !== 'REGISTERING';
}

/** The number of callable instances of a service, and the reasons that exclude the others. */
export interface CallableCount {
  readonly all: number;
  readonly callable: number;
  /** All instances, by admin state. */
  readonly admin: Readonly<Record<AdminState, number>>;
  /** Instances that are DEREGISTERING, in any admin state. */
  readonly leaving: number;
  /** The ENABLED instances that are not callable, by state. */
  readonly unfit: Readonly<Record<State, number>>;
}

export function countCallable(instances: Iterable<Pick<Instance, 'state' | 'admin'>>): CallableCount {
  const admin: Record<AdminState, number> = { ENABLED: 0, DRAINING: 0, MAINTENANCE: 0 };
  const unfit: Record<State, number> = { HEALTHY: 0, REGISTERING: 0, UNHEALTHY: 0, CRITICAL: 0, DEREGISTERING: 0 };
  let [all, callable, leaving] = [0, 0, 0];
  for (const instance of instances) {
    all += 1;
    admin[instance.admin] += 1;
    if (instance.state === 'DEREGISTERING') leaving += 1;
    if (isCallable(instance)) callable += 1;
    else if (instance.admin === 'ENABLED') unfit[instance.state] += 1;
  }
  return { all, callable, admin, leaving, unfit };
}

/** The label of an instance for display, by its admin state: `2 drained`. */
export const ADMIN_WORDS: Readonly<Record<AdminState, string>> = {
  ENABLED: 'enabled',
  DRAINING: 'drained',
  MAINTENANCE: 'in maintenance',
};

/** The names of an operator's actions on an instance, by the admin state that excludes it from calls. */
export const AWAY_ACTIONS: Readonly<
  Record<AwayState, { readonly name: string; readonly done: string; readonly undone: string }>
> = {
  DRAINING: { name: 'drain', done: 'drained', undone: 'undrained' },
  MAINTENANCE: { name: 'maintenance', done: 'put into maintenance', undone: 'taken out of maintenance' },
};

/** Why instances are not callable, settings of operators first: `2 drained, 1 CRITICAL`. Empty: all of them are. */
export function notCallableText({ admin, unfit }: CallableCount): string {
  return [
    ...AWAY_STATES.map((label) => [admin[label], ADMIN_WORDS[label]] as const),
    ...STATES.map((state) => [unfit[state], state] as const),
  ]
    .filter(([count]) => count > 0)
    .map(([count, label]) => `${count} ${label}`)
    .join(', ');
}

/** `0 of 2 callable: 2 drained` */
export function callableText(count: CallableCount): string {
  const why = notCallableText(count);
  return `${count.callable} of ${count.all} callable${why === '' ? '' : `: ${why}`}`;
}

/** True if a service has instances, but none is callable. False if all of them leave: such a service is being shut down. */
export function isOutage({ all, callable, leaving }: CallableCount): boolean {
  return callable === 0 && leaving < all;
}
