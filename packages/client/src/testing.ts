// what a simulation needs to be the network between a caller and the instances
export { identityFailure } from './transport/identity.js';
export { grpcMethodName } from './transport/grpc/message.js';
export type { GrpcMethod, GrpcRequest } from './transport/grpc/message.js';
export type { GrpcUpload } from './transport/grpc/upload.js';
export { HttpAnswer } from './transport/http/response.js';
export type { BodySink, BodySource, HttpHead, RawHeaders } from './transport/http/response.js';
export type { HttpRequest } from './transport/http/message.js';
export type { Once, Upload } from './transport/http/upload.js';
export type { TcpPacket } from './transport/tcp/codec.js';
export type { TcpRequest } from './transport/tcp/message.js';
export { failed, STOPPED } from './transport/transport.js';
export type { Channel, Exchange, Failure, FailureKind, Sink, Target, Terms, Transport } from './transport/transport.js';
// the parts of a client, of which the simulation of calls (bench/simulation) makes callers
export { Calls } from './call/calls.js';
export type { OneCall } from './call/calls.js';
export { LastValue } from './call/observers.js';
export { callFields } from './call/policy/service-options.js';
export type { CallOptions } from './call/policy/service-options.js';
export { TimerWheel, WheelTimer } from './call/policy/timer-wheel.js';
export { Catalog } from './discovery/catalog.js';
export { Connecting } from './transport/connecting.js';
export { HttpTransport } from './transport/http/http.js';
export { TcpTransport } from './transport/tcp/tcp.js';
export { SecureWay } from './transport/tls.js';
// what a benchmark measures a pick with
export { Balancer } from './balance/balancer.js';
export type { Preferences } from './balance/arrangement.js';
export type { BalancerParts, NoneReason, NodeStatus } from './balance/balancer.js';
export { NodeTable } from './balance/nodes/node-table.js';
export type { AlternativeNode } from './balance/nodes/node-table.js';
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
