import { CALLABLE_STATES, option, STATES, tlsFields, tlsRules } from '@rollcall/core';
import type { OptionSpec, OptionsOf, State } from '@rollcall/core';
import { BALANCER_NAMES, isBalancerChoice } from '../../balance/balancers.js';
import type { BalancerChoice, BalancerName } from '../../balance/balancers.js';
import { DEFAULT_LIMIT } from '../../breaker/limit.js';
import { isHedgeOption } from './hedge.js';
import type { HedgeOption } from './hedge.js';

const ms = { unit: 'ms', integer: true } as const;
const LONGEST_MS = 3_600_000;

/** The overrides for instances in one state. */
const stateField = (state: State) =>
  option.object(
    {
      timeoutMs: option.number({ doc: 'Attempt timeout in this state.', min: 1, max: LONGEST_MS, ...ms }),
      retries: option.number({
        doc: 'Further attempts after one on an instance in this state failed.',
        min: 0,
        max: 9,
        integer: true,
      }),
    },
    { doc: `Overrides for calls to ${state} instances.` },
  );

/** The call policy of a service. */
export const policyFields = {
  deadlineMs: option.number({
    doc: 'The total time of a call that does not set its own. An inherited deadline applies if it is shorter.',
    default: 5_000,
    min: 1,
    max: LONGEST_MS,
    ...ms,
  }),
  idleMs: option.number({
    doc: 'The longest time between two values of a stream, after the first value.',
    default: 30_000,
    min: 1,
    max: LONGEST_MS,
    ...ms,
  }),
  attemptTimeoutMs: option.number({
    doc: 'The longest time of one attempt if another may follow. The actual timeout is min(this, max(150 ms, 3 × the p99 of the method)).',
    default: 2_000,
    min: 1,
    max: LONGEST_MS,
    ...ms,
  }),
  attempts: option.number({
    doc: 'The most attempts of an idempotent call. An attempt that was certainly not executed does not count. 1: nothing is repeated.',
    default: 3,
    min: 1,
    max: 10,
    integer: true,
  }),
  maxConcurrent: option.number({
    doc: 'The most calls to the service that are under way or wait for an instance; one more fails with BULKHEAD_FULL. It limits the memory that they take.',
    default: 16_384,
    min: 1,
    integer: true,
  }),
  catalogWaitMs: option.number({
    doc: 'The longest time that a call waits, up to its deadline, while the registry has not reported on the service or no instance may be called; then NO_CATALOG or NO_INSTANCE. If the registry does not know the service, at most 2 s; then UNKNOWN_SERVICE. 0: no wait.',
    default: 5_000,
    min: 0,
    max: LONGEST_MS,
    ...ms,
  }),
  retryRatio: option.number({
    doc: 'Retries per request. The limit over 10 s is this × requests + 10 × retriesPerSecond.',
    default: 0.2,
    min: 0,
    max: 10,
  }),
  retriesPerSecond: option.number({
    doc: 'Retries per second that are always allowed.',
    default: 3,
    min: 0,
    max: 10_000,
  }),
  hedgeRatio: option.number({
    doc: 'Hedges (second attempts beside slow first ones) per call of a hedged method. They also count as retries.',
    default: 0.05,
    min: 0,
    max: 1,
    unit: 'ratio',
  }),
  balancer: option.value<BalancerChoice, BalancerName>({
    doc: 'The load balancing policy, which picks the instance of the next call.',
    allowed: `one of ${BALANCER_NAMES.map((name) => `"${name}"`).join(', ')}, or a Balancing of your own: an object with the functions picker and load`,
    default: 'p2c-peak-ewma',
    is: isBalancerChoice,
  }),
  zones: option.oneOf(['prefer', 'ignore'], {
    doc: 'prefer: calls go to instances in our own zone (the option zone) if enough of them are HEALTHY, and to other zones when they are full. ignore: calls go to all zones.',
    default: 'prefer',
  }),
  minInZone: option.number({
    doc: 'The number of HEALTHY instances that our own zone needs; with fewer, the instances of all zones are used alike.',
    default: 3,
    min: 1,
    max: 100_000,
    integer: true,
  }),
  subsetSize: option.number({
    doc: 'For a service with 100 or more instances: how many of them get the calls of this process. The others get calls when these are full. 0: all.',
    default: 20,
    min: 0,
    max: 100_000,
    integer: true,
  }),
  limit: option.object(
    {
      initial: option.number({
        doc: 'The initial limit, an estimate.',
        default: DEFAULT_LIMIT.initial,
        min: 1,
        max: 100_000,
        integer: true,
      }),
      min: option.number({
        doc: 'The lowest limit, even under overload.',
        default: DEFAULT_LIMIT.min,
        min: 1,
        max: 100_000,
        integer: true,
      }),
      max: option.number({
        doc: 'The highest limit.',
        default: DEFAULT_LIMIT.max,
        min: 1,
        max: 100_000,
        integer: true,
      }),
    },
    {
      doc: 'The limit of calls under way to one instance: + 1 per round trip while at least half of it is in use, × 0.9 after a timeout or overload.',
      rules: [
        ({ initial, min, max }) =>
          min <= initial && initial <= max
            ? null
            : `limit: min ${min}, initial ${initial} and max ${max} have to be in ascending order. Change one of them.`,
      ],
    },
  ),
  maxEjectedRatio: option.number({
    doc: 'The share of instances that may be ejected for errors at the same time: at least one instance, never the last.',
    default: 0.5,
    min: 0,
    max: 1,
    unit: 'ratio',
  }),
  allowedStates: option.list({
    doc: 'The states in which an instance may be called; better states are preferred. Calls reach a CRITICAL instance only if CRITICAL is listed.',
    item: option.oneOf(STATES, { doc: 'A state.' }),
    default: CALLABLE_STATES,
    min: 1,
  }),
  states: option.object(
    {
      HEALTHY: stateField('HEALTHY'),
      REGISTERING: stateField('REGISTERING'),
      UNHEALTHY: stateField('UNHEALTHY'),
      CRITICAL: stateField('CRITICAL'),
      DEREGISTERING: stateField('DEREGISTERING'),
    },
    { doc: 'Timeouts and retries by the state of the instance that is called.' },
  ),
};

/** The policy that this process sets for a method of a service; it takes precedence over the policy that instances publish. */
export const methodFields = {
  idempotent: option.boolean({ doc: 'Whether the method may be executed twice without harm.' }),
  timeoutMs: option.number({ doc: 'The longest time of one attempt.', min: 1, max: LONGEST_MS, ...ms }),
  hedge: option.value<HedgeOption>({
    doc: 'Whether a second attempt may be made beside a slow first one, if the call is idempotent. true: after the p95 of the method.',
    allowed: 'true, false, or { afterMs } with a number of ms from 1 to 3600000',
    is: isHedgeOption,
  }),
};

export type CallPolicy = OptionsOf<typeof policyFields> & {
  readonly methods?: Readonly<Record<string, OptionsOf<typeof methodFields>>> | undefined;
  /** True if the deadline is set for this service itself. */
  readonly isDeadlineSet?: boolean;
};

/** The same options without defaults: the overrides of one service. */
type Overrides<Fields> = {
  [Key in keyof Fields]: Fields[Key] extends OptionSpec<infer Value, infer _Missing>
    ? OptionSpec<Value, undefined>
    : never;
};

const overrideFields = Object.fromEntries(
  Object.entries(policyFields).map(([key, spec]) => [key, { ...spec, default: undefined }]),
  // the same keys and values without the defaults
) as Overrides<typeof policyFields>;

/** The options of calls; part of the client's options. */
export const callFields = {
  ...policyFields,
  services: option.record({
    doc: 'Overrides for single services, by name. methods: the policies of its methods, by name (a pattern; over HTTP GET /orders): { idempotent, timeoutMs, hedge }. They take precedence over the policies that the instances publish.',
    item: option.object(
      {
        ...overrideFields,
        methods: option.record({
          doc: 'The policies of its methods, by name (a pattern, an object as JSON; over HTTP `GET /orders`). They take precedence over the policies that the instances publish.',
          item: option.object(methodFields, { doc: 'A method.' }),
        }),
      },
      { doc: 'As above.' },
    ),
  }),
  tls: option.object(tlsFields, {
    doc: 'How instances over TLS prove their identity, and how this process proves its own.',
    rules: tlsRules,
  }),
  tcp: option.object(
    {
      connections: option.number({
        doc: 'Connections to each instance; calls share them.',
        default: 1,
        min: 1,
        max: 64,
        integer: true,
      }),
      connectTimeoutMs: option.number({
        doc: 'A connection that is not open after this time, or after 3 × the duration of the last connect, identity check included, is late: its calls go to another instance if one is connected, otherwise they wait for it.',
        default: 1_000,
        min: 1,
        max: LONGEST_MS,
        ...ms,
      }),
      maxMessageLength: option.number({
        doc: 'The longest answer, in UTF-16 code units of its JSON. Parsing a long answer blocks the event loop: one of 64 Mi from a hostile or faulty instance may stop the whole process.',
        default: 4_194_304,
        min: 1_024,
        max: 134_217_728,
        integer: true,
      }),
      maxBufferedBytes: option.number({
        doc: 'The most data that may wait to be written to one connection; further calls go to other instances.',
        default: 16_777_216,
        min: 65_536,
        unit: 'bytes',
        integer: true,
      }),
    },
    { doc: 'Calls over TCP.' },
  ),
  http: option.object(
    {
      connections: option.number({
        doc: 'The most connections to each instance; each call uses one exclusively.',
        default: 128,
        min: 1,
        max: 4_096,
        integer: true,
      }),
      connectTimeoutMs: option.number({
        doc: 'A connection that is not open after this time, or after 3 × the duration of the last connect, identity check included, is late: its calls go to another instance if one is connected, otherwise they wait for it.',
        default: 1_000,
        min: 1,
        max: LONGEST_MS,
        ...ms,
      }),
      bufferedBytes: option.number({
        doc: 'Answers up to this size are read completely before the call ends, so that a truncated answer can be retried; longer answers are streamed.',
        default: 65_536,
        min: 0,
        max: 16_777_216,
        unit: 'bytes',
        integer: true,
      }),
    },
    { doc: 'Calls over HTTP.' },
  ),
  grpc: option.object(
    {
      connections: option.number({
        doc: 'Connections to each instance; calls share them.',
        default: 1,
        min: 1,
        max: 64,
        integer: true,
      }),
      connectTimeoutMs: option.number({
        doc: 'A connection that is not open after this time, or after 3 × the duration of the last connect, identity check included, is late: its calls go to another instance if one is connected, otherwise they wait for it.',
        default: 1_000,
        min: 1,
        max: LONGEST_MS,
        ...ms,
      }),
      maxMessageBytes: option.number({
        doc: 'The longest message of an answer.',
        default: 4_194_304,
        min: 1_024,
        max: 134_217_728,
        unit: 'bytes',
        integer: true,
      }),
    },
    { doc: 'Calls over gRPC.' },
  ),
};

/** The options of calls with every default filled in. */
export type CallOptions = OptionsOf<typeof callFields>;

/** The policy of one service: its overrides, otherwise the common values. */
export function policyOf(options: CallOptions, service: string): CallPolicy {
  const { services } = options;
  const own = services !== undefined && Object.hasOwn(services, service) ? services[service] : undefined;
  if (own === undefined) return options;
  const given = Object.entries(own).filter(([, value]) => value !== undefined);
  return { ...options, ...Object.fromEntries(given), isDeadlineSet: own.deadlineMs !== undefined };
}
