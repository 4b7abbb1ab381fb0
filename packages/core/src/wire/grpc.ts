import type { HeartbeatCall } from './protocol.js';

/**
 * The method of Heartbeat-1 over gRPC, and of the identity check when a connection opens: that of the standard health
 * service. The metadata `instance`, the expected id, marks it as ours; an identity check has no other field of a
 * Heartbeat-1.
 */
export const HEARTBEAT_METHOD = '/grpc.health.v1.Health/Check';

/** The metadata key of each field of a Heartbeat-1; the answer has `instance` and, if the request had one, `nonce`. */
export const HEARTBEAT_METADATA: Readonly<Record<Exclude<keyof HeartbeatCall, 'keep'>, string>> = {
  replica: 'rollcall-replica',
  instance: 'rollcall-instance',
  nonce: 'rollcall-nonce',
  purpose: 'rollcall-purpose',
  mac: 'rollcall-mac',
};

/**
 * How an instance must refuse a request that is for another instance (`TARGET_KEY`). `stream`: with HTTP/2's
 * REFUSED_STREAM, after which every gRPC client retries by itself. Otherwise: with the status UNAVAILABLE and
 * `MISDIRECTED_METADATA`, its own id.
 */
export const REFUSAL_METADATA = 'rollcall-refusal';
export const MISDIRECTED_METADATA = 'rollcall-misdirected';
