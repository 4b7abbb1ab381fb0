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
      retries: option.number({ doc: 'Attempts after one in this state failed.', min: 0, max: 9, integer: true }),
    },
    { doc: `Overrides for calls to ${state} instances.` },
  );

/** The call policy of a service. */
export const policyFields = {
  deadlineMs: option.number({
    doc: 'The total time of a call, unless it sets its own. An inherited deadline applies if it is shorter.',
    default: 5_000,
    min: 1,
    max: LONGEST_MS,
    ...ms,
  }),
  idleMs: option.number({
    doc: 'The time between two values of a stream, once the first has come.',
    default: 30_000,
    min: 1,
    max: LONGEST_MS,
    ...ms,
  }),
  attemptTimeoutMs: option.number({
    doc: 'At most so long is one attempt waited for, if another may follow: min(this, max(150 ms, 3 × the p99 of the method)).',
    default: 2_000,
    min: 1,
    max: LONGEST_MS,
    ...ms,
  }),
  attempts: option.number({
    doc: 'Attempts in all, for what is idempotent. What was certainly not executed does not count. 1: nothing is repeated.',
    default: 3,
    min: 1,
    max: 10,
    integer: true,
  }),
  maxConcurrent: option.number({
    doc: 'Calls to the service that may be under way or wait for an instance; one more fails with BULKHEAD_FULL. It bounds the memory that they take.',
    default: 16_384,
    min: 1,
    integer: true,
  }),
  catalogWaitMs: option.number({
    doc: 'How long a call waits, at most until its deadline, for a service of which nothing is known or that has no instance which may be called; then NO_CATALOG or NO_INSTANCE. For one that the registry does not know, at most 2 s; then UNKNOWN_SERVICE. 0: not at all.',
    default: 5_000,
    min: 0,
    max: LONGEST_MS,
    ...ms,
  }),
  retryRatio: option.number({
    doc: 'Retries for each request. In 10 s at most: this × requests + 10 × retriesPerSecond.',
    default: 0.2,
    min: 0,
    max: 10,
  }),
  retriesPerSecond: option.number({ doc: 'Retries that are always allowed.', default: 3, min: 0, max: 10_000 }),
  hedgeRatio: option.number({
    doc: 'Second attempts beside slow first ones, for each call of a method that is hedged. They are taken from the retries, too.',
    default: 0.05,
    min: 0,
    max: 1,
    unit: 'ratio',
  }),
  balancer: option.value<BalancerChoice, BalancerName>({
    doc: 'Which instance gets the next call.',
    allowed: `one of ${BALANCER_NAMES.map((name) => `"${name}"`).join(', ')}, or an own Balancing: an object with the functions picker and load`,
    default: 'p2c-peak-ewma',
    is: isBalancerChoice,
  }),
  zones: option.oneOf(['prefer', 'ignore'], {
    doc: 'Are instances in our own zone (the option zone) preferred, if enough of them are HEALTHY? When they are full, others help.',
    default: 'prefer',
  }),
  minInZone: option.number({
    doc: 'HEALTHY instances in our own zone that are enough; with fewer, those of all zones are used alike.',
    default: 3,
    min: 1,
    max: 100_000,
    integer: true,
  }),
  subsetSize: option.number({
    doc: 'For a service with 100 or more instances, how many get the calls of this process; when they are full, others help. 0: all.',
    default: 20,
    min: 0,
    max: 100_000,
    integer: true,
  }),
  limit: option.object(
    {
      initial: option.number({
        doc: 'At first, a guess.',
        default: DEFAULT_LIMIT.initial,
        min: 1,
        max: 100_000,
        integer: true,
      }),
      min: option.number({
        doc: 'However overloaded it is.',
        default: DEFAULT_LIMIT.min,
        min: 1,
        max: 100_000,
        integer: true,
      }),
      max: option.number({
        doc: 'However good it is.',
        default: DEFAULT_LIMIT.max,
        min: 1,
        max: 100_000,
        integer: true,
      }),
    },
    {
      doc: 'Calls under way to one instance: + 1 each round trip while at least half are in use, × 0.9 after a timeout or overload.',
      rules: [
        ({ initial, min, max }) =>
          min <= initial && initial <= max
            ? null
            : `limit: min ${min}, initial ${initial} and max ${max} have to be in this order. Change one of them.`,
      ],
    },
  ),
  maxEjectedRatio: option.number({
    doc: 'The share of instances that may be ejected for errors at once: at least one, never the last.',
    default: 0.5,
    min: 0,
    max: 1,
    unit: 'ratio',
  }),
  allowedStates: option.list({
    doc: 'States in which an instance may be called at all; better ones are preferred. Naming CRITICAL is the only way to call one.',
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

/** The policy that this process sets for a method of a service; it takes precedence over the one that instances publish. */
export const methodFields = {
  idempotent: option.boolean({ doc: 'Does it no harm to execute it twice?' }),
  timeoutMs: option.number({ doc: 'The longest that one attempt is waited for.', min: 1, max: LONGEST_MS, ...ms }),
  hedge: option.value<HedgeOption>({
    doc: 'May a second attempt be made beside a slow first one, if it is idempotent? true: after the p95 of the method.',
    allowed: 'true, false, or { afterMs } with a number of ms from 1 to 3600000',
    is: isHedgeOption,
  }),
};

export type CallPolicy = OptionsOf<typeof policyFields> & {
  readonly methods?: Readonly<Record<string, OptionsOf<typeof methodFields>>> | undefined;
  /** True if the deadline was set for this service itself. */
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
    doc: 'Other values for single services, by name. methods: what is true of its methods, by name (a pattern; over HTTP GET /orders): { idempotent, timeoutMs, hedge }. It beats what their instances publish.',
    item: option.object(
      {
        ...overrideFields,
        methods: option.record({
          doc: 'What is true of its methods, by name (a pattern, an object as JSON; over HTTP `GET /orders`). Beats what they publish.',
          item: option.object(methodFields, { doc: 'A method.' }),
        }),
      },
      { doc: 'As above.' },
    ),
  }),
  tls: option.object(tlsFields, {
    doc: 'How instances over TLS prove who they are, and we to them.',
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
        doc: 'A connection that is not open after this time, or 3 × what the last one took, identity check included, is late: its calls go to another instance if one is connected, else they wait for it.',
        default: 1_000,
        min: 1,
        max: LONGEST_MS,
        ...ms,
      }),
      maxMessageLength: option.number({
        doc: 'The longest answer, in UTF-16 code units of its JSON. A long one holds up the event loop while it is parsed: of a hostile or mistaken instance 64 Mi may take the whole process.',
        default: 4_194_304,
        min: 1_024,
        max: 134_217_728,
        integer: true,
      }),
      maxBufferedBytes: option.number({
        doc: 'What may wait to be written to one connection; beyond it calls go elsewhere.',
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
        doc: 'Connections to each instance at most; a call has one to itself.',
        default: 128,
        min: 1,
        max: 4_096,
        integer: true,
      }),
      connectTimeoutMs: option.number({
        doc: 'A connection that is not open after this time, or 3 × what the last one took, identity check included, is late: its calls go to another instance if one is connected, else they wait for it.',
        default: 1_000,
        min: 1,
        max: LONGEST_MS,
        ...ms,
      }),
      bufferedBytes: option.number({
        doc: 'Answers up to this size are read whole before the call ends, so that one cut short can be repeated; longer ones stream.',
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
        doc: 'A connection that is not open after this time, or 3 × what the last one took, identity check included, is late: its calls go to another instance if one is connected, else they wait for it.',
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

/** The policy of one service: its overrides, else the common values. */
export function policyOf(options: CallOptions, service: string): CallPolicy {
  const { services } = options;
  const own = services !== undefined && Object.hasOwn(services, service) ? services[service] : undefined;
  if (own === undefined) return options;
  const given = Object.entries(own).filter(([, value]) => value !== undefined);
  return { ...options, ...Object.fromEntries(given), isDeadlineSet: own.deadlineMs !== undefined };
}
