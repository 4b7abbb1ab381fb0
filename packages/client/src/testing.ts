// what a simulation needs to be the network between a caller and the instances
export { identityFailure } from './transport/identity.js';
export { grpcMethodName } from './transport/grpc/message.js';
export type { GrpcRequest } from './transport/grpc/message.js';
export type { GrpcUpload } from './transport/grpc/upload.js';
export { HttpAnswer } from './transport/http/response.js';
export type { BodySink, BodySource, HttpHead, RawHeaders } from './transport/http/response.js';
export type { HttpRequest } from './transport/http/message.js';
export type { Once, Upload } from './transport/http/upload.js';
export type { TcpPacket } from './transport/tcp/codec.js';
export type { TcpRequest } from './transport/tcp/message.js';
export { failed, STOPPED } from './transport/transport.js';
export type { Channel, Exchange, Failure, Sink, Target, Terms, Transport } from './transport/transport.js';
// calls among servers that fail, in discrete events: what the quality of calls is measured in
export { bareLeastLoaded, bareRoundRobin, rollcall } from './simulation/callers.js';
export { simulate } from './simulation/simulation.js';
export type { BareOptions } from './simulation/callers.js';
export type {
  Caller,
  Distributions,
  CallerFactory,
  Outcome,
  Reply,
  Scenario,
  SimulatedTime,
  CallerParts,
} from './simulation/simulation.js';
export {
  BEYOND_ROUND_ROBIN,
  NONE_SLOW,
  ONE_FAILS_FAST,
  ONE_FROZEN,
  ONE_SLOW,
  OUTAGE,
  OVERLOAD,
  RANDOM_ERRORS,
  SIX_OF_TEN_FAIL,
} from './simulation/scenarios.js';
export type { QualityCase } from './simulation/scenarios.js';
// whole worlds, and what a call of this package may not be beside one of a bare client
export { compare, findExecutedTwice, MIN_SHORTAGE_RATIO, ratioOf, countSuccesses } from './simulation/law.js';
export type { CreateClock, LawCase } from './simulation/law.js';
export { LAW_WORLDS } from './simulation/law-worlds.js';
export type { LawWorld } from './simulation/law-worlds.js';
export type {
  CallRecord,
  CatalogUpdate,
  CallResult,
  Listed,
  PlannedCall,
  SteppedTime,
  CallLoad,
  World,
  WorldCaller,
  WorldClient,
  CallerContext,
} from './simulation/world.js';
export type {
  Acceptor,
  Answer,
  Fault,
  FaultOf,
  HostRequest,
  Connection,
  ConnectionEnd,
  Loop,
  Network,
  HostSpan,
  Span,
  ReplyContent,
} from './simulation/network.js';
export type { Host, HostParts, WorkResult } from './simulation/host.js';
// what a benchmark measures a pick with
export { Balancer } from './balance/balancer.js';
export type { Preferences } from './balance/arrangement.js';
export type { BalancerParts, NoneReason, Standing } from './balance/balancer.js';
export { NodeTable } from './balance/nodes/node-table.js';
export type { Helper } from './balance/nodes/node-table.js';
export { BALANCER_NAMES, BALANCERS } from './balance/balancers.js';
export type { BalancerName } from './balance/balancers.js';
export { TypicalLatency } from './balance/nodes/loads.js';
export { Node } from './balance/nodes/node.js';
export type { Counted, WindowCounts } from './balance/nodes/window-counts.js';
export { Breaker } from './breaker/breaker.js';
export { defaultTripRules } from './breaker/trip-rules.js';
export type { TripRule } from './breaker/trip-rules.js';
// the parsers of foreign bytes, to test them with all kinds of input
export { decodeCopies, encodeCopies } from './discovery/cache-file.js';
export type { CacheOwner, KeptCopy } from './discovery/cache-file.js';
