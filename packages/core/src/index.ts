// identity
export {
  ADMIN_WORDS,
  AWAY_ACTIONS,
  CALLABLE_STATES,
  callableText,
  countCallable,
  isCallable,
  isCallableIn,
  isOutage,
  isSubstitute,
  notCallableText,
} from './wire/callable.js';
export type { CallableCount } from './wire/callable.js';
export { ADMIN_STATES, addressOf, AWAY_STATES, ENDPOINT_PROTOCOLS, PROTOCOLS, shortId } from './wire/instance.js';
export type {
  AdminState,
  AwayState,
  Endpoint,
  EndpointProtocol,
  Instance,
  InstanceId,
  Metadata,
  Protocol,
  ServiceName,
  Source,
  Tombstone,
} from './wire/instance.js';
export {
  isInFront,
  isMethodName,
  LONGEST_METHOD_NAME,
  methodNameOf,
  methodPolicyOf,
  MAX_METHOD_BYTES,
  MAX_METHODS,
  routeNameOf,
  sizeOfMethods,
} from './wire/methods.js';
export type { HedgePolicy, MethodPolicy, Methods } from './wire/methods.js';
export { due, forecast } from './lifecycle/deadlines.js';
export type { ClockEvent, Forecast } from './lifecycle/deadlines.js';
export { transition } from './lifecycle/lifecycle.js';
export type { Context, Event, Transition } from './lifecycle/lifecycle.js';
export { DEFAULT_POLICY, policyFields, policyRules, policyOf, PRESET_NAMES, PRESETS } from './lifecycle/policy.js';
export type { Policy, PolicySettings, Preset, Thresholds } from './lifecycle/policy.js';
export {
  excuse,
  fallsNow,
  forgive,
  newborn,
  notHeardSince,
  silence,
  silentSince,
  stateOf,
  STATES,
} from './lifecycle/vitals.js';
export type { Cause, Fleet, Phase, State, Unheard, Vitals } from './lifecycle/vitals.js';
export { REASON_CODES, REASON_TEXTS, partsOf, reasonFor } from './lifecycle/reason.js';
export type { Reason, ReasonCode, ReasonParts } from './lifecycle/reason.js';

// the wire
export { ServiceSnapshot } from './wire/change.js';
export type { Applied, KeptService, ServiceFrame, ServiceStatus } from './wire/change.js';
export {
  changeMessage,
  goneMessage,
  parseFrame,
  resetMessage,
  resetOf,
  serviceViewMessage,
  statusMessage,
  unknownMessage,
} from './wire/feed-frame.js';
export type {
  ChangeFrame,
  Frame,
  GoneFrame,
  ServiceScope,
  ResetFrame,
  ServiceViewAnswer,
  StatusFrame,
  UnknownFrame,
} from './wire/feed-frame.js';
export { SseParser } from './wire/sse.js';
export type { SseEvent } from './wire/sse.js';
export { isHost, isIpv4, isIpv6, isLoopback } from './runtime/host.js';
export {
  ACTORS,
  EVENT_KINDS,
  instancePatchMessage,
  isMetadata,
  isWhy,
  overrideMessage,
  registryEventMessage,
  termsOf,
  WHY_ALLOWED,
} from './wire/operator.js';
export type {
  Actor,
  EventKind,
  InstancePatch,
  MetadataChanges,
  Override,
  OverrideTerms,
  OverrideSetting,
  OwnSettings,
  RegistryEvent,
} from './wire/operator.js';
export type {
  BeatsAnswer,
  CalledService,
  CircuitCounts,
  DirectionAnswer,
  EventsAnswer,
  HeartbeatsAnswer,
  InstanceAnswer,
  InstancesAnswer,
  LineLosses,
  ListedInstance,
  NotListening,
  ServiceAnswer,
  ServiceEdge,
  ServicesAnswer,
  ServiceSummary,
  TargetEdge,
  TimelineAnswer,
  TopologyAnswer,
  TopologySummary,
  TrafficAnswer,
  TrafficPoint,
} from './wire/answers.js';
export { ROLES } from './wire/registry-status.js';
export type {
  BudgetAnswer,
  DescribedOption,
  EndingToken,
  Limits,
  OpenFiles,
  PreservationAnswer,
  ProcessFacts,
  RefusedAnswer,
  RegistryAnswer,
  RegistryStatus,
  Role,
  ScopeAnswer,
  StoreTrouble,
  TlsAnswer,
} from './wire/registry-status.js';
export { answerText, problemDocumentMessage, problemFrom, PROBLEMS } from './wire/problem.js';
export type { Problem, ProblemCode, ProblemDocument, ReceivedAnswer } from './wire/problem.js';
export { beatAnswerMessage, beatMessage, CIRCUITS, MAX_EDGES, MAX_TARGETS } from './wire/beat.js';
export type { Beat, BeatAnswer, Circuit, Edge, EdgeTarget } from './wire/beat.js';
export {
  CALL_KEY_TEXT,
  DEFAULT_DRAIN_MS,
  DEFAULT_NAMESPACE,
  DEFAULT_WEIGHT,
  drainAnswerMessage,
  drainMessage,
  formatCursor,
  HEARTBEAT_PATH,
  HEARTBEAT_PATTERN,
  heartbeatAnswerMessage,
  heartbeatCallMessage,
  ID_PATTERN,
  instanceMessage,
  MAX_NAMES_PER_REQUEST,
  NAME_PATTERN,
  NONCE_PATTERN,
  nonceOf,
  parseCursor,
  PURPOSES,
  registeredMessage,
  registrationMessage,
  SECRET_PATTERN,
  signedText,
  suspicionMessage,
  SUSPICIONS,
  tombstoneMessage,
} from './wire/protocol.js';
export type {
  AnnouncedEndpoint,
  Cursor,
  Drain,
  DrainAnswer,
  HeartbeatAnswer,
  HeartbeatCall,
  HeartbeatTerms,
  Purpose,
  Registered,
  Registration,
  Suspicion,
} from './wire/protocol.js';
export { HEARTBEAT_METADATA, HEARTBEAT_METHOD, MISDIRECTED_METADATA, REFUSAL_METADATA } from './wire/grpc.js';
export { componentSchemas, isRecord } from './options/schema.js';
export type {
  AnyMessage,
  Flaw,
  Flaws as FlawList,
  JsonSchema,
  Kind,
  Message,
  Row,
  StandardIssue,
  StandardProps,
} from './options/schema.js';
export { encodeFrame, FrameDecoder, MAX_FRAME_LENGTH } from './wire/tcp-frame.js';
export type { DecodedFrames } from './wire/tcp-frame.js';

export { TOLD, VERSION } from './runtime/version.js';
export { ATTEMPT_KEY, attemptOf, DEADLINE_KEY, ERROR_KEY, remainingMsOf, TARGET_KEY } from './wire/call-terms.js';

// ports and pieces
export { ceilingMs, equalJitterMs, fullJitterMs } from './runtime/backoff.js';
export type { Backoff } from './runtime/backoff.js';
export { ERROR_CODES, isRollcallError, messageOf, RollcallError } from './runtime/errors.js';
export type { Attempt, ErrorCode, ErrorDetails, Result } from './runtime/errors.js';
export { silentLog } from './runtime/log.js';
export type { Log } from './runtime/log.js';
export { noMeter, SECONDS_BUCKETS } from './runtime/meter.js';
export type { Counter, Gauge, Histogram, LabelValues, Meter } from './runtime/meter.js';
export { printableText, redacted } from './runtime/redact.js';
export { ACCESS_TOKEN, isRegistryUrl } from './options/contact.js';
export { CONTAINER_MARKS, CONTAINERS, containerIn, containerOf } from './runtime/container.js';
export type { Container, ContainerTraces } from './runtime/container.js';
export { nearest, option, optionRows, parseOptions } from './options/options.js';
export { Credentials } from './options/credentials.js';
export type { CredentialParts, Pem } from './options/credentials.js';
export { credentialFields, credentialRules, tlsFields, tlsRules } from './options/tls.js';
export type { CredentialTerms, TlsTerms } from './options/tls.js';
export type {
  Described,
  Flaws,
  ListSpec,
  NumberSpec,
  OptionFields,
  OptionRule,
  OptionRow,
  OptionsOf,
  OptionSpec,
  StringSpec,
} from './options/options.js';
export { randomWord, systemRandom, uuidV7 } from './runtime/random.js';
export type { Random } from './runtime/random.js';
export { checkDelay, sleep, systemTime } from './runtime/time.js';
export type { Time, Timer, TimerOptions } from './runtime/time.js';
