// identity
export {
  ADMIN_WORDS,
  CALLABLE_STATES,
  callableText,
  countCallable,
  isCallable,
  isCallableIn,
  isOutage,
  isSubstitute,
  notCallableText,
} from './callable.js';
export type { CallableCount } from './callable.js';
export { ADMIN_STATES, addressOf, ENDPOINT_PROTOCOLS, PROTOCOLS, shortId } from './instance.js';
export type {
  AdminState,
  Endpoint,
  EndpointProtocol,
  Instance,
  InstanceId,
  Metadata,
  Protocol,
  ServiceName,
  Source,
  Tombstone,
} from './instance.js';
export {
  isInFront,
  isMethodName,
  LONGEST_METHOD_NAME,
  methodNameOf,
  methodPolicyOf,
  MOST_METHOD_BYTES,
  MOST_METHODS,
  routeNameOf,
  sizeOfMethods,
} from './methods.js';
export type { HedgePolicy, MethodPolicy, Methods } from './methods.js';
export { due, forecast } from './deadlines.js';
export type { ClockEvent, Forecast } from './deadlines.js';
export { transition } from './lifecycle.js';
export type { Context, Event, Transition } from './lifecycle.js';
export { DEFAULT_POLICY, policyFields, policyLaws, policyOf, PRESET_NAMES, PRESETS } from './policy.js';
export type { Policy, PolicySettings, Preset, Thresholds } from './policy.js';
export { excuse, fallsNow, forgive, newborn, notHeardSince, silence, silentSince, stateOf, STATES } from './vitals.js';
export type { Cause, Fleet, Phase, State, Unheard, Vitals } from './vitals.js';
export { REASON_CODES, REASON_TEXTS, reasonFor, unheld } from './reason.js';
export type { Reason, ReasonCode } from './reason.js';

// the wire
export { ServiceSnapshot } from './change.js';
export type { Applied, KeptService, ServiceFrame, ServiceStatus } from './change.js';
export {
  changeMessage,
  goneMessage,
  parseFrame,
  resetMessage,
  resetOf,
  serviceViewMessage,
  statusMessage,
  unknownMessage,
} from './feed-frame.js';
export type {
  ChangeFrame,
  Frame,
  GoneFrame,
  OfService,
  ResetFrame,
  ServiceViewAnswer,
  StatusFrame,
  UnknownFrame,
} from './feed-frame.js';
export { SseParser } from './sse.js';
export type { SseEvent } from './sse.js';
export { isHost, isIpv4, isIpv6, isLoopback } from './host.js';
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
} from './operator.js';
export type {
  Actor,
  EventKind,
  InstancePatch,
  MetadataChanges,
  Override,
  OverrideTerms,
  OverrideWord,
  OwnWords,
  RegistryEvent,
} from './operator.js';
export { answerText, problemDocumentMessage, problemFrom, PROBLEMS } from './problem.js';
export type { Problem, ProblemCode, ProblemDocument, StrangeAnswer } from './problem.js';
export { beatAnswerMessage, beatMessage, CIRCUITS, MOST_EDGES, MOST_TARGETS } from './beat.js';
export type { Beat, BeatAnswer, Circuit, Edge, EdgeTarget } from './beat.js';
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
  MOST_NAMES,
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
} from './protocol.js';
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
} from './protocol.js';
export { HEARTBEAT_METADATA, HEARTBEAT_METHOD, MISDIRECTED_METADATA, REFUSAL_METADATA } from './grpc.js';
export { componentSchemas, isRecord } from './schema.js';
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
} from './schema.js';
export { encodeFrame, FrameDecoder, MAX_FRAME_LENGTH } from './tcp-frame.js';
export type { DecodedFrames } from './tcp-frame.js';

export { TOLD, VERSION } from './version.js';
export { ATTEMPT_KEY, attemptOf, DEADLINE_KEY, ERROR_KEY, remainingMsOf, TARGET_KEY } from './call-terms.js';

// ports and pieces
export { ceilingMs, equalJitterMs, fullJitterMs } from './backoff.js';
export type { Backoff } from './backoff.js';
export { ERROR_CODES, isRollcallError, messageOf, RollcallError } from './errors.js';
export type { Attempt, ErrorCode, ErrorDetails, Result } from './errors.js';
export { silentLog } from './log.js';
export type { Log } from './log.js';
export { noMeter, SECONDS_BUCKETS } from './meter.js';
export type { Counter, Gauge, Histogram, LabelValues, Meter } from './meter.js';
export { printableText, redacted } from './redact.js';
export { ACCESS_TOKEN, isRegistryUrl } from './contact.js';
export { CONTAINER_MARKS, CONTAINERS, containerIn, containerOf } from './container.js';
export type { Container, ContainerTraces } from './container.js';
export { nearest, option, optionRows, parseOptions } from './options.js';
export { Credentials } from './credentials.js';
export type { CredentialParts, Pem } from './credentials.js';
export { credentialFields, credentialLaws, tlsFields, tlsLaws } from './tls.js';
export type { CredentialTerms, TlsTerms } from './tls.js';
export type {
  Described,
  Flaws,
  ListSpec,
  NumberSpec,
  OptionFields,
  OptionLaw,
  OptionRow,
  OptionsOf,
  OptionSpec,
  StringSpec,
} from './options.js';
export { randomWord, systemRandom, uuidV7 } from './random.js';
export type { Random } from './random.js';
export { checkDelay, sleep, systemTime } from './time.js';
export type { Time, Timer, TimerOptions } from './time.js';
