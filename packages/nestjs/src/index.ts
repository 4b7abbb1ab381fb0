// in modules
export { RollcallModule } from './rollcall.module.js';
export type { ServiceFeature } from './rollcall.module.js';
export type { DrainOptions, EmbeddedRegistry, RollcallModuleOptions } from './rollcall.module-definition.js';
export { moduleFields } from './rollcall.module-definition.js';

// in providers and controllers
export { getServiceToken, InjectService } from './inject.js';
export { ServiceClient } from './service-client.js';
export type { InputOf, OutputOf, PatternOf, Untyped } from './service-client.js';
export { RollcallAgent } from './agent.js';
export { Rollcall } from '@rollcall/client';
export type { ContactStatus, Explanation, OneCall, ServiceView, StreamObserver } from '@rollcall/client';

// what comes out
export { isRollcallError, RollcallError } from '@rollcall/core';
export type { Attempt, Endpoint, ErrorCode, Instance, Reason, State } from '@rollcall/core';
