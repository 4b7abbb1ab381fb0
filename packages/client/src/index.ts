export { Rollcall } from './rollcall.js';
export type { RollcallPorts } from './rollcall.js';
export { clientFields } from './options.js';
export type { RollcallOptions } from './options.js';
export type { OneCall, StreamObserver } from './call.js';
export type { ServiceView } from './catalog.js';
export type { ContactStatus } from './contact.js';
export type { Explanation, InstanceExplanation, ProtocolExplanation } from './explain.js';

// the port to the registry, for a simulation or another wire
export { HttpLink } from './link/http.js';
export type { HttpLinkOptions } from './link/http.js';
export type { Answer, BeatOptions, Link, PollRequest, Proof, Watch, WatchRequest, WatchSink } from './link/link.js';
