import type { HeartbeatCall } from './protocol.js';

/**
 * Method of Heartbeat-1 over gRPC, and of the identity check when a connection opens: the standard health service's. What makes it
 * ours is the metadata `instance`, the id that is expected; an identity check has nothing else of what a call consists of.
 */
export const HEARTBEAT_METHOD = '/grpc.health.v1.Health/Check';

/** The metadata of a call by its fields; the answer has `instance` and, if it was asked with one, `nonce`. */
export const HEARTBEAT_METADATA: Readonly<Record<Exclude<keyof HeartbeatCall, 'keep'>, string>> = {
  replica: 'rollcall-replica',
  instance: 'rollcall-instance',
  nonce: 'rollcall-nonce',
  purpose: 'rollcall-purpose',
  mac: 'rollcall-mac',
};

/**
 * How the refusal of a request that was for another instance (`TARGET_KEY`) has to come. `stream`: HTTP/2's REFUSED_STREAM, which
 * every gRPC client sends again by itself. Else it is the status UNAVAILABLE with `MISDIRECTED_METADATA`, the id of who was asked.
 */
export const REFUSAL_METADATA = 'rollcall-refusal';
export const MISDIRECTED_METADATA = 'rollcall-misdirected';
