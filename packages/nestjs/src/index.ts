// in modules
export { RollcallModule } from './rollcall.module.js';
export type { ServiceFeature, ServiceFeatureAsync, ServiceFeatureFactory, ServiceFeatureTerms } from './features.js';
export type {
  DrainOptions,
  EmbeddedRegistry,
  RollcallModuleAsyncOptions,
  RollcallModuleOptions,
} from './rollcall.module-definition.js';
export { grpcFields } from './calls/grpc-proto.js';
export type { GrpcFeature, GrpcServices } from './calls/grpc-proto.js';
export { moduleFields } from './rollcall.module-definition.js';

// in providers and controllers
export { getServiceToken, InjectService } from './inject.js';
export type { RollcallApi } from './inject.js';
export { ServiceClient } from './calls/service-client.js';
export type {
  InputOf,
  OutputOf,
  PatternOf,
  ServiceClientHost,
  Settled,
  Untyped,
  UntypedGrpc,
} from './calls/service-client.js';
export { Hedge, Idempotent, Timeout } from './handlers/handler-policy.js';
export type { HandlerDecorator } from './handlers/handler-policy.js';
export { OnInstanceChange } from './instance-events/on-instance-change.js';
export type { InstanceChange } from './instance-events/on-instance-change.js';
export type { RequestTracer, Tracing } from './calls/tracing.js';
export { problemDocument, RollcallExceptionFilter } from './calls/exception-filter.js';
export type { ProblemDocument } from './calls/exception-filter.js';
export { RollcallAgent } from './registration/agent.js';
export { Rollcall } from '@rollcall/client';
export { explainText, GrpcMetadata, GrpcStatusError } from '@rollcall/client';
export type {
  ContactStatus,
  Dispatcher,
  DispatcherOptions,
  EdgeStats,
  Explanation,
  GrpcCall,
  GrpcMetadataValue,
  GrpcMethod,
  GrpcResolverOptions,
  HedgeOption,
  MessageSource,
  OneCall,
  ReadyOptions,
  RegistryTlsTerms,
  ServiceView,
  StaticEndpoint,
  StreamObserver,
  TcpCodec,
} from '@rollcall/client';

// for the events of callers, and for a custom balancer
export { findAvailable, isAvailable } from '@rollcall/client';
export type {
  PickArgs,
  BalancerChoice,
  BalancerName,
  BalancerNode,
  Balancing,
  CallerEvent,
  CallerListener,
  Candidates,
  Load,
  Picker,
  TypicalLatency,
} from '@rollcall/client';

// what comes out
export { isRollcallError, RollcallError } from '@rollcall/core';
export type { Attempt, Endpoint, ErrorCode, HedgePolicy, Instance, MethodPolicy, Reason, State } from '@rollcall/core';
