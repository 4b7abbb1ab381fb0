/** Presets and thresholds of the lifecycle, and the options from which a registry builds its policy. */
import { option } from '../options/options.js';
import type { OptionRule, OptionsOf, OptionSpec } from '../options/options.js';

/** How often the registry probes an instance, and how long an instance may fail: all durations of the lifecycle. */
export interface Policy extends Thresholds {
  /** The time between two heartbeats of each direction, in ms. */
  readonly intervalMs: number;
  /** The timeout of one probe, in ms; at most 0.4 intervals. It is added to every silence threshold. */
  readonly timeoutMs: number;
}

/** Fields without a unit are counts of `intervalMs`; `thresholdFields` describes each. */
export interface Thresholds {
  readonly unprovedAfter: number;
  readonly unhealthyAfter: number;
  readonly criticalAfter: number;
  /** Like `criticalAfter`, for the last callable instance of its service. */
  readonly lastCriticalAfter: number;
  /** From CRITICAL by silence to DEREGISTERING. */
  readonly silenceStepAfter: number;
  /** From CRITICAL by proof to DEREGISTERING. */
  readonly proofStepAfter: number;
  readonly removeAfter: number;
  /** Consecutive proofs that lead back to HEALTHY; `flappingProofs` applies while the instance is flapping. */
  readonly proofs: number;
  readonly flappingProofs: number;
  /** An instance is flapping while its score of falls, which halves each `flappingHalfLifeMs`, is above this. */
  readonly flappingLimit: number;
  readonly flappingHalfLifeMs: number;
}

export const PRESET_NAMES = ['default', 'fast', 'relaxed'] as const;
export type Preset = (typeof PRESET_NAMES)[number];

/**
 * Each preset is named after its network. `fast` is for one machine or one rack: a single lost packet fails a probe, since the kernel
 * resends it only after 1 s. `relaxed` is for slow or congested networks: 5 s outlast two lost packets (resent after 1 and 3 s). The
 * thresholds are the same in all presets, because they count intervals.
 */
export const PRESETS: Readonly<Record<Preset, Pick<Policy, 'intervalMs' | 'timeoutMs'>>> = {
  default: { intervalMs: 5_000, timeoutMs: 2_000 },
  fast: { intervalMs: 1_000, timeoutMs: 400 },
  relaxed: { intervalMs: 15_000, timeoutMs: 5_000 },
};

/** The longest timeout as a share of the interval; a longer probe would overlap the next one. */
const MAX_TIMEOUT_RATIO = 0.4;

/**
 * In intervals: two heartbeats are one interval apart, and each may be half an interval late before its silence counts.
 */
const MIN_SILENCE_INTERVALS = 1.5;

const inIntervals = (doc: string, initial: number, min = 1): OptionSpec<number> =>
  option.number({ doc, unit: 'intervals', default: initial, min, max: 1_000 });

const inProofs = (doc: string, initial: number): OptionSpec<number> =>
  option.number({ doc, unit: 'proofs', default: initial, integer: true, min: 1, max: 1_000 });

const thresholdFields = {
  unprovedAfter: inIntervals(
    'REGISTERING and never proved for this long: CRITICAL (UNHEALTHY if it is the only instance, or is held). At least unhealthyAfter + 0.4.',
    6,
    MIN_SILENCE_INTERVALS,
  ),
  unhealthyAfter: inIntervals(
    'HEALTHY and a direction silent for this + timeoutMs: UNHEALTHY. No instance stays HEALTHY longer than this + 2 intervals after a direction fails: 4 by default, and more if you raise it.',
    2,
    MIN_SILENCE_INTERVALS,
  ),
  criticalAfter: inIntervals(
    'UNHEALTHY and silent for this + timeoutMs: CRITICAL, no more calls; by one direction only while another instance is HEALTHY. More than unhealthyAfter.',
    3,
    MIN_SILENCE_INTERVALS,
  ),
  lastCriticalAfter: inIntervals(
    'Like criticalAfter, for the last callable instance of its service, and by silence in both directions only. At least criticalAfter.',
    6,
    MIN_SILENCE_INTERVALS,
  ),
  silenceStepAfter: inIntervals('From CRITICAL by silence to DEREGISTERING.', 2),
  proofStepAfter: inIntervals(
    'From CRITICAL by proof of death to DEREGISTERING. Within this time the registry also probes all other instances: if most of them refuse, it does not count a refusal as a death.',
    1,
  ),
  removeAfter: inIntervals(
    'From DEREGISTERING to the removal: the last time in which a Heartbeat-2 saves the instance.',
    1,
  ),
  proofs: inProofs('Consecutive proofs that lead from UNHEALTHY or CRITICAL back to HEALTHY.', 2),
  flappingProofs: inProofs('Like proofs, while the instance is flapping. At least as many as proofs.', 5),
  flappingLimit: option.number({
    doc: 'An instance is flapping while its score of falls is above this: each fall from HEALTHY adds 1, and the score halves every flappingHalfLifeMs.',
    unit: 'falls',
    default: 3,
    min: 0.5,
    max: 1_000,
  }),
  flappingHalfLifeMs: option.number({
    doc: 'The half-life of the score of falls.',
    unit: 'ms',
    default: 600_000,
    integer: true,
    min: 1_000,
    max: 86_400_000,
  }),
} satisfies Record<keyof Thresholds, OptionSpec<number>>;

const THRESHOLD_RULES: readonly OptionRule<Thresholds>[] = [
  requireAtLeast('unprovedAfter', 'unhealthyAfter', MAX_TIMEOUT_RATIO),
  ({ criticalAfter, unhealthyAfter }) =>
    criticalAfter > unhealthyAfter
      ? null
      : `thresholds.criticalAfter ${criticalAfter} must be more than thresholds.unhealthyAfter ${unhealthyAfter}, or CRITICAL comes without a warning: raise criticalAfter, or lower unhealthyAfter.`,
  requireAtLeast('lastCriticalAfter', 'criticalAfter'),
  requireAtLeast('flappingProofs', 'proofs'),
];

/** The options of a policy. `policyRules` constrains them, `policyOf` builds the policy. */
export const policyFields = {
  preset: option.oneOf(PRESET_NAMES, {
    doc: 'How long the registry waits: `default` (intervalMs 5000, timeoutMs 2000), `fast` (1000, 400: one machine or one rack) or `relaxed` (15000, 5000: slow or congested networks). intervalMs and timeoutMs override it. docs/STATES.md has the times of each.',
    default: 'default',
  }),
  intervalMs: option.number({
    doc: 'Time between two heartbeats of each direction; `thresholds` count it. Default: that of `preset`.',
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
    doc: 'The thresholds for changes of state, in intervals.',
    rules: THRESHOLD_RULES,
  }),
};

/** The parsed options of the lifecycle. */
export type PolicySettings = OptionsOf<typeof policyFields>;

export const policyRules: readonly OptionRule<PolicySettings>[] = [
  (settings) => {
    const { timeoutMs } = settings;
    const { intervalMs } = policyOf(settings);
    if (timeoutMs === undefined || timeoutMs <= MAX_TIMEOUT_RATIO * intervalMs) return null;
    const from = settings.intervalMs === undefined ? ` (of the preset ${settings.preset})` : '';
    return `timeoutMs ${timeoutMs} is more than 0.4 × intervalMs ${intervalMs}${from}: choose at most ${maxTimeoutMs(intervalMs)}, or a longer intervalMs.`;
  },
];

/** Builds the policy: options override the preset. */
export function policyOf({ preset, intervalMs, timeoutMs, thresholds }: PolicySettings): Policy {
  const base = PRESETS[preset];
  const interval = intervalMs ?? base.intervalMs;
  return {
    ...thresholds,
    intervalMs: interval,
    timeoutMs: timeoutMs ?? Math.min(base.timeoutMs, maxTimeoutMs(interval)),
  };
}

/** The policy of the preset `default`. */
export const DEFAULT_POLICY: Policy = { ...PRESETS.default, ...policyFields.thresholds.default };

function maxTimeoutMs(intervalMs: number): number {
  return Math.max(1, Math.floor(MAX_TIMEOUT_RATIO * intervalMs));
}

function requireAtLeast(name: keyof Thresholds, other: keyof Thresholds, margin = 0): OptionRule<Thresholds> {
  const plus = margin === 0 ? '' : ` + ${margin} (a timeout)`;
  return (thresholds) => {
    // binary fractions may make a sum of tenths slightly too high
    const least = thresholds[other] + margin;
    if (thresholds[name] >= least - 1e-9) return null;
    return `thresholds.${name} ${thresholds[name]} is less than thresholds.${other} ${thresholds[other]}${plus}: choose at least ${Number(least.toFixed(6))}, or lower ${other}.`;
  };
}
