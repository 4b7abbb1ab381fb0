export { Rollcall } from './rollcall.js';
export type { RollcallPorts } from './rollcall.js';
export { clientFields } from './options.js';
export type { RollcallOptions } from './options.js';
export type { Inherited, OneCall, StreamObserver } from './call.js';
export type { GrpcCall } from './grpc-call.js';
export { GrpcStatusError } from './transport/grpc-message.js';
export type { GrpcMethod } from './transport/grpc-message.js';
export type { GrpcResolverOptions } from './transport/grpc-resolver.js';
export type { Dispatcher, DispatcherOptions } from './dispatcher.js';
export type { ServiceView } from './catalog.js';
export type { StaticEndpoint } from './static-service.js';

// to balance in an own way
export type { BalancerChoice, BalancerName, Balancing } from './balance/balancers.js';
export type { Candidates } from './balance/candidates.js';
export type { Load, TypicalLatency } from './balance/loads.js';
export type { Node as BalancerNode } from './balance/node.js';
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
  ReadmittedEvent,
  ServiceState,
  ShedCause,
  ShedEvent,
  StateEvent,
} from './caller-events.js';
export type { AttemptTrace, CallTrace, CallTracer, Carrier, TracedAttempt, TracedCall } from './tracing.js';
export { EDGE_WINDOW_MS } from './edges.js';
export type { EdgeStats } from './edges.js';
export type { HedgeWish } from './hedge.js';

// the port to the registry, for a simulation or another wire
export { HttpLink } from './link/http.js';
export type { HttpLinkOptions } from './link/http.js';
export type { Answer, BeatOptions, Link, PollRequest, Proof, Watch, WatchRequest, WatchSink } from './link/link.js';
