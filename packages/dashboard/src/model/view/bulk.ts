/** Actions on all instances of a list. */
import type { Instance } from '@rollcall/core';

/** The maximum number of instances of one action. */
export const MAX_AT_ONCE = 50;

export interface Bulk {
  readonly to: 'DRAINING' | 'ENABLED';
  /** The instances that it changes. */
  readonly instances: readonly Instance[];
}

/**
 * Drains those that are ENABLED and not leaving; if there are none, undrains those that are DRAINING. An instance in
 * maintenance is not changed: its end is planned. Null: there is nothing to do.
 */
export function bulkOf(listed: readonly Instance[]): Bulk | null {
  const enabled = listed.filter(({ admin, state }) => admin === 'ENABLED' && state !== 'DEREGISTERING');
  if (enabled.length > 0) return { to: 'DRAINING', instances: enabled };
  const drained = listed.filter(({ admin }) => admin === 'DRAINING');
  return drained.length > 0 ? { to: 'ENABLED', instances: drained } : null;
}
