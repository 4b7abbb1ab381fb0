export { Rollcall } from './rollcall.js';
export type { RollcallPorts } from './ports.js';
export { clientFields } from './options.js';
export type { Loose, RollcallOptions } from './options.js';
export { callFields } from './call-options.js';
export type { CallOptions } from './call-options.js';
export type { RegistryOrder } from './registries.js';
export type { CallTransports, Inherited, OneCall, StreamObserver } from './call.js';
export type { GrpcCall } from './grpc-call.js';
export { GrpcStatusError } from './transport/grpc-message.js';
export type { GrpcMethod } from './transport/grpc-message.js';
export { CALL_WISHES, checkWishes } from './wishes.js';
export { GrpcMetadata } from './transport/grpc-metadata.js';
export type { GrpcFields, GrpcMetadataValue, Mergeable } from './transport/grpc-metadata.js';
export type { TcpCodec } from './transport/tcp-codec.js';
export type { MessageSource } from './transport/grpc-upload.js';
export type { GrpcResolverOptions } from './transport/grpc-resolver-options.js';
export type { Dispatcher, DispatcherOptions } from './dispatcher.js';
export type { ReadyOptions } from './readiness.js';
export type { ServiceView } from './catalog.js';
export type { StaticEndpoint } from './static-service.js';

// to balance in an own way
export type { BalancerChoice, BalancerName, Balancing } from './balance/balancers.js';
export type { Candidates } from './balance/candidates.js';
export type { Load, TypicalLatency } from './balance/loads.js';
export type { Node as BalancerNode, NodeParts } from './balance/node.js';
export type { Counted } from './balance/turnout.js';
export type { Selector } from './balance/selector.js';
export type { BreakerHost, EjectionCause } from './gate/breaker.js';
export type { Gate, GateListener } from './gate/gate.js';
export type { AdaptiveLimit, LimitTerms } from './gate/limit.js';
export type { LatencyProfile } from './latency.js';
export { firstAble, isAble } from './balance/picker.js';
export type { Ask, Picker } from './balance/picker.js';

export type { ContactStatus } from './contact.js';
export { explainText } from './explain-text.js';
export type { Explanation, InstanceExplanation, PickExplanation, ProtocolExplanation } from './explain.js';
export type {
  BudgetEvent,
  CallerEvent,
  CallerListener,
  EjectedEvent,
  HedgedEvent,
  Often,
  ReadmittedEvent,
  ServiceState,
  ShedCause,
  ShedEvent,
  StateEvent,
  Told,
} from './caller-events.js';
export type { AttemptTrace, CallTrace, CallTracer, Carrier, TracedAttempt, TracedCall } from './tracing.js';
export type { PickReason } from './tracing.js';
export type { FailureKind } from './transport/transport.js';
export { EDGE_WINDOW_MS } from './balance/turnout.js';
export type { EdgeStats } from './edges.js';
export type { HedgeWish } from './hedge.js';

// the port to the registry, for a simulation or another wire
export { HttpLink } from './link/http.js';
export type { HttpLinkOptions } from './link/http.js';
export type { SecureCredentials } from './transport/credentials.js';
export { RegistryTls, registryTlsFields } from './link/secure.js';
export type { RegistryTlsTerms, SecureRequestOptions } from './link/secure.js';
export { troubleOf } from './link/trouble.js';
export type { Trouble, TroubleFacts } from './link/trouble.js';
export type { Answer, BeatOptions, Link, PollRequest, Proof, Watch, WatchRequest, WatchSink } from './link/link.js';
