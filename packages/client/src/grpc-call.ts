import type { OneCall } from './wishes.js';

/** One gRPC call's own wishes. */
export interface GrpcCall extends OneCall {
  /** gRPC metadata that is sent with it; names are in lower case. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}
