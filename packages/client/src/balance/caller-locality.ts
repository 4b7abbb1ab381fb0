import { NO_PREFERENCES } from './arrangement.js';
import type { Preferences } from './arrangement.js';
import type { Balancing } from './balancers.js';

/** The position of the caller: its id, its zone and its heartbeat interval. */
export interface CallerLocality {
  /** The id of this process: each process uses another subset. */
  readonly id: string;
  /** Empty: unknown. */
  readonly zone: string;
  /** The interval of heartbeats that the registry requires, ms. */
  intervalMs(): number;
}

export const UNKNOWN_LOCALITY: CallerLocality = { id: '', zone: '', intervalMs: () => 5_000 };

/** The options for zones and subsets. */
export interface PreferenceTerms {
  readonly zones: 'prefer' | 'ignore';
  readonly minInZone: number;
  /** 0: all are used. */
  readonly subsetSize: number;
}

export function preferencesOf(terms: PreferenceTerms, zone: string, balancing: Balancing): Preferences {
  if (balancing.seesAll === true) return NO_PREFERENCES;
  return {
    zone: terms.zones === 'prefer' ? zone : '',
    minInZone: terms.minInZone,
    subsetSize: terms.subsetSize === 0 ? Infinity : terms.subsetSize,
  };
}
