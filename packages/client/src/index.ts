export { Rollcall } from './rollcall.js';
export type { RollcallPorts } from './ports.js';
export { clientFields } from './options.js';
export type { DeepPartial, RollcallOptions } from './options.js';
export { callFields } from './call/policy/service-options.js';
export type { CallOptions } from './call/policy/service-options.js';
export type { RegistryOrder } from './registry-client/registry-order.js';
export type { CallTransports, Inherited, OneCall, StreamObserver } from './call/calls.js';
export type { GrpcCall } from './call/grpc-call.js';
export { GrpcStatusError } from './transport/grpc/message.js';
export type { GrpcMethod } from './transport/grpc/message.js';
export { CALL_OPTION_NAMES, checkCallOptions } from './call/policy/call-options.js';
export { GrpcMetadata } from './transport/grpc/metadata.js';
export type { GrpcFields, GrpcMetadataValue, Mergeable } from './transport/grpc/metadata.js';
export type { TcpCodec } from './transport/tcp/codec.js';
export type { MessageSource } from './transport/grpc/upload.js';
export type { GrpcResolverOptions } from './integrations/grpc-js/resolver-options.js';
export type { Dispatcher, DispatcherOptions } from './integrations/undici/dispatcher.js';
export type { ReadyOptions } from './call/readiness.js';
export type { ServiceView } from './discovery/catalog.js';
export type { StaticEndpoint } from './discovery/static-service.js';

// for custom balancers
export type { BalancerChoice, BalancerName, Balancing } from './balance/balancers.js';
export type { Candidates } from './balance/pickers/candidates.js';
export type { Load, TypicalLatency } from './balance/nodes/loads.js';
export type { Node as BalancerNode, NodeParts } from './balance/nodes/node.js';
export type { Counted } from './balance/nodes/window-counts.js';
export type { Selector } from './balance/nodes/selector.js';
export type { BreakerHost, EjectionCause } from './breaker/breaker.js';
export type { Gate, GateListener } from './breaker/gate.js';
export type { AdaptiveLimit, LimitTerms } from './breaker/limit.js';
export type { LatencyProfile } from './balance/nodes/latency.js';
export { findAvailable, isAvailable } from './balance/pickers/picker.js';
export type { PickArgs, Picker } from './balance/pickers/picker.js';

export type { ContactStatus } from './registry-client/connection-status.js';
export { explainText } from './call/explain-text.js';
export type { Explanation, InstanceExplanation, PickExplanation, ProtocolExplanation } from './call/explain.js';
export type {
  BudgetEvent,
  CallerEvent,
  CallerListener,
  EjectedEvent,
  HedgedEvent,
  ThrottledEvent,
  ReadmittedEvent,
  ServiceState,
  ShedCause,
  ShedEvent,
  StateEvent,
  EventBase,
} from './telemetry/events.js';
export type { AttemptTrace, CallTrace, CallTracer, Carrier, TracedAttempt, TracedCall } from './transport/tracing.js';
export type { PickReason } from './transport/tracing.js';
export type { FailureKind } from './transport/transport.js';
export { EDGE_WINDOW_MS } from './balance/nodes/window-counts.js';
export type { EdgeStats } from './telemetry/call-stats.js';
export type { HedgeOption } from './call/policy/hedge.js';

// the port to the registry, for a simulation or another protocol
export { HttpRegistryClient } from './registry-client/http.js';
export type { HttpRegistryClientOptions } from './registry-client/http.js';
export type { SecureCredentials } from './transport/credentials.js';
export { RegistryTls, registryTlsFields } from './registry-client/tls.js';
export type { RegistryTlsTerms, SecureRequestOptions } from './registry-client/tls.js';
export { troubleOf } from './registry-client/connect-error.js';
export type { RegistryConnectError, ConnectErrorFacts } from './registry-client/connect-error.js';
export type {
  Answer,
  BeatOptions,
  RegistryClient,
  PollRequest,
  Proof,
  Watch,
  WatchRequest,
  WatchSink,
} from './registry-client/registry-client.js';
