import { due } from './deadlines.js';
import { transition } from './lifecycle.js';
import type { Event } from './lifecycle.js';
import type { Policy } from './policy.js';
import { newborn } from './vitals.js';
import type { Fleet, Phase, Vitals } from './vitals.js';

/** The events of a healthy instance. */
export const PROVED: readonly Event[] = [{ type: 'heartbeat-1' }, { type: 'heartbeat-2' }, { type: 'proved' }];

/** A phase that an instance entered, or its removal, and the time in ms since it registered. */
export type HistoryEntry = readonly [Phase | 'REMOVED', number];

/** The interval in ms at which a run applies due events. */
export const STEP_MS = 50;

/**
 * The history of an instance that registers at 0: applies the events of `happens` and those of time. It ends with the removal, or after 60
 * intervals.
 */
export function run(
  policy: Policy,
  fleet: Fleet,
  eventsAt: (now: number) => readonly Event[],
): readonly HistoryEntry[] {
  const chapters: HistoryEntry[] = [];
  let vitals: Vitals = newborn(0);
  for (let now = 0; now <= 60 * policy.intervalMs; now += STEP_MS) {
    const at = { now, policy, fleet };
    for (const event of [...eventsAt(now), due(vitals, now, policy, fleet)]) {
      if (event === null) continue;
      const result = transition(vitals, event, at);
      if (result.removed !== null) return [...chapters, ['REMOVED', now]];
      if (result.vitals.phase !== vitals.phase) chapters.push([result.vitals.phase, now]);
      vitals = result.vitals;
    }
  }
  return chapters;
}
