import type { OneCall } from './wishes.js';

/** One gRPC call's own wishes. */
export interface GrpcCall extends OneCall {
  /**
   * gRPC metadata that is sent with it: printable ASCII, else it is a TypeError. Names are put in lower case; what belongs to the
   * connection or to this client is left out.
   */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}
