import { due } from './deadlines.js';
import { transition } from './lifecycle.js';
import type { Event } from './lifecycle.js';
import type { Policy } from './policy.js';
import { newborn } from './vitals.js';
import type { Fleet, Phase, Vitals } from './vitals.js';

/** All that an instance does that is well. */
export const PROVED: readonly Event[] = [{ type: 'heartbeat-1' }, { type: 'heartbeat-2' }, { type: 'proved' }];

/** The phase, or the end, that an instance came to, and when, in ms since it registered. */
export type Chapter = readonly [Phase | 'REMOVED', number];

/** How often a story asks what time brings. */
export const GRAIN_MS = 50;

/**
 * The story of an instance that registers at 0: what `happens` to it, and what time brings. It ends with the removal, or after 60 intervals.
 */
export function story(policy: Policy, fleet: Fleet, happens: (now: number) => readonly Event[]): readonly Chapter[] {
  const told: Chapter[] = [];
  let vitals: Vitals = newborn(0);
  for (let now = 0; now <= 60 * policy.intervalMs; now += GRAIN_MS) {
    const at = { now, policy, fleet };
    for (const event of [...happens(now), due(vitals, now, policy, fleet)]) {
      if (event === null) continue;
      const result = transition(vitals, event, at);
      if (result.removed !== null) return [...told, ['REMOVED', now]];
      if (result.vitals.phase !== vitals.phase) told.push([result.vitals.phase, now]);
      vitals = result.vitals;
    }
  }
  return told;
}
