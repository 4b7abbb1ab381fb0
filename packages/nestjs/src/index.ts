// in modules
export { RollcallModule } from './rollcall.module.js';
export type { ServiceFeature } from './rollcall.module.js';
export type { DrainOptions, EmbeddedRegistry, RollcallModuleOptions } from './rollcall.module-definition.js';
export { moduleFields } from './rollcall.module-definition.js';

// in providers and controllers
export { getServiceToken, InjectService } from './inject.js';
export { ServiceClient } from './service-client.js';
export type { InputOf, OutputOf, PatternOf, Untyped } from './service-client.js';
export { Hedge, Idempotent, Timeout } from './handler-policy.js';
export { OnInstanceChange } from './on-instance-change.js';
export type { InstanceChange } from './on-instance-change.js';
export type { RequestTracer, Tracing } from './tracing.js';
export { RollcallExceptionFilter } from './exception-filter.js';
export { RollcallAgent } from './agent.js';
export { Rollcall } from '@rollcall/client';
export { GrpcStatusError } from '@rollcall/client';
export type {
  ContactStatus,
  DispatcherOptions,
  Explanation,
  GrpcCall,
  GrpcMethod,
  OneCall,
  ServiceView,
  StaticEndpoint,
  StreamObserver,
} from '@rollcall/client';

// what comes out
export { isRollcallError, RollcallError } from '@rollcall/core';
export type { Attempt, Endpoint, ErrorCode, HedgePolicy, Instance, MethodPolicy, Reason, State } from '@rollcall/core';
