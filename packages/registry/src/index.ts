// a whole registry
export { startRegistry } from './http/start.js';
export type { RunningRegistry } from './http/start.js';
export type { StartOptions } from './http/start-options.js';
export type { RegistryTls } from './http/tls.js';
export { capacityOf } from './host-budget.js';
export type { Capacity, Workload } from './host-budget.js';
export { readHostFacts } from './host-facts.js';
export type { HostFacts } from './host-facts.js';

// who may do what
export { ROLES, SERVICE_PATTERN, SERVICE_PATTERN_TEXT } from './access.js';
export type { BadCertificate, Grant, Role, Standing } from './access.js';
export type { EndingToken } from './token-endings.js';
export { drawToken, validityOf } from './tokens.js';
export type { TokenRecord, TokenWish } from './tokens.js';
export { changeTokens, readTokens, TOKENS_FILE } from './tokens-file.js';
export type { Tokens, TokensPorts } from './tokens-file.js';
export type { TokenCheck } from './identification.js';
export type { CertificateRule } from './certificates.js';

// the engine, for whoever brings its own clock, network and store
export { Registry } from './registry.js';
export type { RegistryOptions, RegistryPorts } from './registry.js';
export type {
  BeatsAnswer,
  DescribedOption,
  DirectionAnswer,
  Ender,
  EventQuery,
  EventsAnswer,
  HeartbeatsAnswer,
  InstanceAnswer,
  InstancesAnswer,
  LineLosses,
  Operator,
  Outcome,
  Peer,
  PreservationAnswer,
  Proof,
  RegistryAnswer,
  RegistryFace,
  ScopeAnswer,
  ServiceAnswer,
  ServicesAnswer,
  ServiceSummary,
  SharedFrame,
  TimelineAnswer,
  TrafficAnswer,
  TrafficQuery,
  Watcher,
  WatcherSink,
  WatchOrder,
} from './face.js';
export { INSTANCE_SORTS } from './instance-query.js';
export type { InstancePlace, InstanceQuery, InstanceSort } from './instance-query.js';
export { DEFAULT_LIMITS } from './limits.js';
export type { Limits } from './limits.js';
export type { Resolve } from './admission.js';
export type { Berth, Caller, CallOutcome } from './caller/caller.js';
export type { ServiceEdge, TargetEdge, TopologyAnswer } from './edges.js';
export type { Step, TrafficPoint } from './traffic.js';
export type { StoreTrouble } from './ledger.js';
export type { ScopeReport } from './preservation.js';
export { diskStore } from './store/disk.js';
export type { DiskStoreOptions } from './store/disk.js';
export { MemoryStore } from './store/memory.js';
export type {
  Contents,
  SavedPreservation,
  SavedScope,
  Store,
  StoreFault,
  StoredInstance,
  StoredTombstone,
  Write,
} from './store/store.js';
