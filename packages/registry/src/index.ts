export { ROLES } from '@rollcall/core';
// a whole registry
export { startRegistry } from './http/start.js';
export type { RunningRegistry } from './http/start.js';
export type { StartOptions } from './http/start-options.js';
export type { RegistryTls } from './http/access/tls.js';
export { capacityOf } from './metrics/host-budget.js';
export type { Capacity, Workload } from './metrics/host-budget.js';
export { readHostFacts } from './metrics/host-facts.js';
export type { HostFacts } from './metrics/host-facts.js';

// permissions
export { SERVICE_PATTERN, SERVICE_PATTERN_TEXT } from './access/permissions.js';
export type { BadCertificate, Grant, Standing } from './access/permissions.js';

export { drawToken, validityOf } from './access/tokens.js';
export type { TokenRecord, TokenRequest } from './access/tokens.js';
export { changeTokens, readTokens, TOKENS_FILE } from './access/token-file.js';
export type { Tokens, TokensPorts } from './access/token-file.js';
export type { TokenCheck } from './registration/authentication.js';
export type { CertificateRule } from './access/client-certificates.js';

// the engine, for programs with their own clock, network and store
export { Registry } from './registry.js';
export type { RegistryOptions, RegistryPorts } from './registry.js';
export type {
  Ender,
  EventQuery,
  Operator,
  Outcome,
  Peer,
  Proof,
  RegistryApi,
  SharedFrame,
  TrafficQuery,
  Watcher,
  WatcherSink,
  WatchOrder,
} from './registry-api.js';
export type {
  BeatsAnswer,
  DescribedOption,
  DirectionAnswer,
  EndingToken,
  EventsAnswer,
  HeartbeatsAnswer,
  InstanceAnswer,
  InstancesAnswer,
  LineLosses,
  NotListening,
  PreservationAnswer,
  RegistryAnswer,
  Role,
  ScopeAnswer,
  ServiceAnswer,
  ServiceEdge,
  ServicesAnswer,
  ServiceSummary,
  StoreTrouble,
  TargetEdge,
  TimelineAnswer,
  TopologyAnswer,
  TrafficAnswer,
  TrafficPoint,
} from '@rollcall/core';
export { INSTANCE_SORTS } from './queries/instance-query.js';
export type { InstancePlace, InstanceQuery, InstanceSort } from './queries/instance-query.js';
export { DEFAULT_LIMITS } from './instances/limits.js';
export type { Limits } from './instances/limits.js';
export type { Resolve } from './registration/admission.js';
export type { KeptSlot, ProbeProtocol, ProbeOutcome } from './probing/protocols/caller.js';

export type { Step } from './activity/traffic.js';
export type { ScopeReport } from './lifecycle/self-preservation.js';
export { diskStore } from './store/disk/disk.js';
export type { DiskStoreOptions } from './store/disk/disk.js';
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
