/** How patient a registry is: presets, thresholds, and the table of options that makes a policy of them. */
import { option } from '../options/options.js';
import type { OptionLaw, OptionsOf, OptionSpec } from '../options/options.js';

/** How often an instance is asked, and how long it may fail in what: everything that the lifecycle measures with. */
export interface Policy extends Thresholds {
  /** Between two heartbeats of each direction, in ms. */
  readonly intervalMs: number;
  /** For one call, in ms; at most 0.4 intervals. Added to every silence threshold. */
  readonly timeoutMs: number;
}

/** Those without a unit are counts of `intervalMs`; what each does is told in `thresholdFields`. */
export interface Thresholds {
  readonly unprovedAfter: number;
  readonly unhealthyAfter: number;
  readonly criticalAfter: number;
  /** As `criticalAfter`, for the last callable instance of its service. */
  readonly lastCriticalAfter: number;
  /** From CRITICAL by silence to DEREGISTERING. */
  readonly silenceStepAfter: number;
  /** From CRITICAL by proof to DEREGISTERING. */
  readonly proofStepAfter: number;
  readonly removeAfter: number;
  /** Proofs in a row that lead back to HEALTHY, and how many when flapping. */
  readonly proofs: number;
  readonly flappingProofs: number;
  /** Falls (decaying by half each `flappingHalfLifeMs`) above which an instance is flapping. */
  readonly flappingLimit: number;
  readonly flappingHalfLifeMs: number;
}

export const PRESET_NAMES = ['default', 'fast', 'relaxed'] as const;
export type Preset = (typeof PRESET_NAMES)[number];

/**
 * Named after the network they are for. `fast`: one machine or one rack; there a packet that is lost once makes a call fail, since
 * the kernel sends it again only after 1 s. `relaxed`: far or crowded networks; 5 s outlast two lost packets (sent again after
 * 1 and 3 s). The thresholds are the same in all, because they are counted in intervals.
 */
export const PRESETS: Readonly<Record<Preset, Pick<Policy, 'intervalMs' | 'timeoutMs'>>> = {
  default: { intervalMs: 5_000, timeoutMs: 2_000 },
  fast: { intervalMs: 1_000, timeoutMs: 400 },
  relaxed: { intervalMs: 15_000, timeoutMs: 5_000 },
};

/** A call that takes longer than this share of the interval would run into the next one. */
const LONGEST_TIMEOUT = 0.4;

/** In intervals: two heartbeats are one apart, and each may be late by half of one before anybody is blamed. */
const SHORTEST_SILENCE = 1.5;

const inIntervals = (doc: string, initial: number, min = 1): OptionSpec<number> =>
  option.number({ doc, unit: 'intervals', default: initial, min, max: 1_000 });

const inProofs = (doc: string, initial: number): OptionSpec<number> =>
  option.number({ doc, unit: 'proofs', default: initial, integer: true, min: 1, max: 1_000 });

const thresholdFields = {
  unprovedAfter: inIntervals(
    'REGISTERING and never proved for this long: CRITICAL (UNHEALTHY where it is the only one, or is held). At least unhealthyAfter + 0.4.',
    6,
    SHORTEST_SILENCE,
  ),
  unhealthyAfter: inIntervals(
    'HEALTHY and a direction silent for this + timeoutMs: UNHEALTHY. Nobody stays HEALTHY longer than this + 2 intervals after a direction died: 4 by default, and more where you raise it.',
    2,
    SHORTEST_SILENCE,
  ),
  criticalAfter: inIntervals(
    'UNHEALTHY and silent for this + timeoutMs: CRITICAL, no more calls; by one direction only while another instance is HEALTHY. More than unhealthyAfter.',
    3,
    SHORTEST_SILENCE,
  ),
  lastCriticalAfter: inIntervals(
    'As criticalAfter, for the last callable instance of its service, and by silence in both directions only. At least criticalAfter.',
    6,
    SHORTEST_SILENCE,
  ),
  silenceStepAfter: inIntervals('From CRITICAL by silence to DEREGISTERING.', 2),
  proofStepAfter: inIntervals(
    'From CRITICAL by proof of death to DEREGISTERING. Within it all others are called, too: where most of them refuse, none is believed dead.',
    1,
  ),
  removeAfter: inIntervals('From DEREGISTERING to the removal: the last time in which a Heartbeat-2 saves it.', 1),
  proofs: inProofs('So many proofs in a row lead from UNHEALTHY or CRITICAL back to HEALTHY.', 2),
  flappingProofs: inProofs('The same, for an instance that is flapping. At least as many as proofs.', 5),
  flappingLimit: option.number({
    doc: 'An instance is flapping while its falls are more than this: each fall from HEALTHY counts 1, and half of that after every flappingHalfLifeMs.',
    unit: 'falls',
    default: 3,
    min: 0.5,
    max: 1_000,
  }),
  flappingHalfLifeMs: option.number({
    doc: 'The time in which the count of falls halves.',
    unit: 'ms',
    default: 600_000,
    integer: true,
    min: 1_000,
    max: 86_400_000,
  }),
} satisfies Record<keyof Thresholds, OptionSpec<number>>;

const THRESHOLD_LAWS: readonly OptionLaw<Thresholds>[] = [
  atLeast('unprovedAfter', 'unhealthyAfter', LONGEST_TIMEOUT),
  ({ criticalAfter, unhealthyAfter }) =>
    criticalAfter > unhealthyAfter
      ? null
      : `thresholds.criticalAfter ${criticalAfter} must be more than thresholds.unhealthyAfter ${unhealthyAfter}, or nobody is warned before the end: raise criticalAfter, or lower unhealthyAfter.`,
  atLeast('lastCriticalAfter', 'criticalAfter'),
  atLeast('flappingProofs', 'proofs'),
];

/** The options of a policy. Laws over them: `policyLaws`; what they make: `policyOf`. */
export const policyFields = {
  preset: option.oneOf(PRESET_NAMES, {
    doc: 'How patient it is: `default` (intervalMs 5000, timeoutMs 2000), `fast` (1000, 400: one machine or one rack) or `relaxed` (15000, 5000: far or crowded networks). What is given beside it beats it. docs/STATES.md has the times of each.',
    default: 'default',
  }),
  intervalMs: option.number({
    doc: 'Between two heartbeats of each direction; `thresholds` are counted in it. Default: that of `preset`.',
    unit: 'ms',
    integer: true,
    min: 10,
    max: 3_600_000,
  }),
  timeoutMs: option.number({
    doc: 'How long a service may take to answer Heartbeat-1; at most 0.4 intervals. Default: min(that of `preset`, 0.4 × intervalMs).',
    unit: 'ms',
    integer: true,
    min: 1,
    max: 1_440_000,
  }),
  thresholds: option.object(thresholdFields, {
    doc: 'When an instance changes its state, counted in intervals.',
    laws: THRESHOLD_LAWS,
  }),
};

/** The options of the lifecycle as they are read: what was given, and the preset for the rest. */
export type PolicySettings = OptionsOf<typeof policyFields>;

export const policyLaws: readonly OptionLaw<PolicySettings>[] = [
  (settings) => {
    const { timeoutMs } = settings;
    const { intervalMs } = policyOf(settings);
    if (timeoutMs === undefined || timeoutMs <= LONGEST_TIMEOUT * intervalMs) return null;
    const from = settings.intervalMs === undefined ? ` (of the preset ${settings.preset})` : '';
    return `timeoutMs ${timeoutMs} is more than 0.4 × intervalMs ${intervalMs}${from}: choose at most ${longestTimeout(intervalMs)}, or a longer intervalMs.`;
  },
];

/** What was given beats the preset. */
export function policyOf({ preset, intervalMs, timeoutMs, thresholds }: PolicySettings): Policy {
  const terms = PRESETS[preset];
  const interval = intervalMs ?? terms.intervalMs;
  return {
    ...thresholds,
    intervalMs: interval,
    timeoutMs: timeoutMs ?? Math.min(terms.timeoutMs, longestTimeout(interval)),
  };
}

/** That of the preset `default`. */
export const DEFAULT_POLICY: Policy = { ...PRESETS.default, ...policyFields.thresholds.default };

function longestTimeout(intervalMs: number): number {
  return Math.max(1, Math.floor(LONGEST_TIMEOUT * intervalMs));
}

function atLeast(name: keyof Thresholds, other: keyof Thresholds, more = 0): OptionLaw<Thresholds> {
  const plus = more === 0 ? '' : ` + ${more} (a timeout)`;
  return (thresholds) => {
    // a sum of tenths may be too high by the dust of binary fractions
    const least = thresholds[other] + more;
    if (thresholds[name] >= least - 1e-9) return null;
    return `thresholds.${name} ${thresholds[name]} is less than thresholds.${other} ${thresholds[other]}${plus}: choose at least ${Number(least.toFixed(6))}, or lower ${other}.`;
  };
}
