// what a simulation needs to be the network between a caller and the instances
export { identityFailure } from './transport/identity.js';
export type { HttpRequest } from './transport/http-message.js';
export type { TcpRequest } from './transport/tcp-message.js';
export { STOPPED } from './transport/transport.js';
export type { Channel, Exchange, Failure, Sink, Target, Terms, Transport } from './transport/transport.js';
