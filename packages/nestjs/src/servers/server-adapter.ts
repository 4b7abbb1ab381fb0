import type { HeartbeatAnswer, Log, Protocol } from '@rollcall/core';
import type { DeadlineContext } from '../calls/deadline-context.js';
import type { RequestTracer } from '../calls/tracing.js';
import type { InFlight } from './in-flight.js';

/** A server of the application, as the agent sees it. */
export interface ServerAdapter {
  /** For messages: `tcp`, `http`, `grpc`. */
  readonly name: string;
  readonly isListening: boolean;
  /**
   * While a worker of node:cluster opens a port of its own for it: resolves when that is done. Never rejects. Else
   * null.
   */
  readonly opening: Promise<void> | null;
  /** Its endpoint; null while it does not listen, or if it takes no calls. */
  bound(): BoundEndpoint | null;
}

/** The address that a server reports. */
export interface BoundEndpoint {
  readonly protocol: Protocol;
  /** As bound: `0.0.0.0` and `::` are every address of the machine. */
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

/** The functions and values that a server adapter needs from its host. */
export interface ServerHost {
  readonly inFlight: InFlight;
  /** The values that requests pass on to the calls of their handlers. */
  readonly inheritance: DeadlineContext;
  /** Traces incoming messages over TCP; null for none. */
  readonly requests: RequestTracer | null;
  /** The instance id of this process. */
  readonly id: string;
  readonly isDraining: boolean;
  /** True if this process is a worker of node:cluster, which shares its ports with the others. */
  readonly isWorker: boolean;
  readonly log: Log;
  answer(received: unknown): HeartbeatReply;
  /**
   * Called when a request was refused before its handler ran, since its caller no longer waits. `door` is the adapter's
   * name.
   */
  refusedLate(server: string): void;
  /** Called when the server listens. It must not throw. */
  opened(): void;
  /** Resolves when no caller needs the server any more. May be called often. */
  drain(): Promise<void>;
}

export interface HeartbeatReply {
  readonly answer: HeartbeatAnswer;
  /** True if the connection closes after the answer. */
  readonly closes: boolean;
  /** True if the next Heartbeat-1 uses this connection. */
  readonly keeps: boolean;
}
