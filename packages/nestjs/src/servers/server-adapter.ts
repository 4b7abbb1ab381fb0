import type { HeartbeatAnswer, Log, Protocol } from '@rollcall/core';
import type { DeadlineContext } from '../calls/deadline-context.js';
import type { RequestTracer } from '../calls/tracing.js';
import type { InFlight } from './in-flight.js';

/** A server of the application, as the agent sees it. */
export interface ServerAdapter {
  /** For messages: `tcp`, `http`, `grpc`. */
  readonly name: string;
  readonly isListening: boolean;
  /** While a worker of node:cluster opens a port of its own for it: resolves when that is over. It never rejects. Else null. */
  readonly opening: Promise<void> | null;
  /** Where it listens; null when it does not, or when instances are not called over it. */
  bound(): BoundEndpoint | null;
}

/** What a server itself says about its address. */
export interface BoundEndpoint {
  readonly protocol: Protocol;
  /** As it was bound: `0.0.0.0` and `::` are every address of the machine. */
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

/** What a door asks of the one who opened it. */
export interface ServerHost {
  readonly inFlight: InFlight;
  /** What requests leave to the calls of their handlers. */
  readonly inheritance: DeadlineContext;
  /** Follows what comes in over TCP; null: nobody does. */
  readonly requests: RequestTracer | null;
  /** The instance id of this very process. */
  readonly id: string;
  readonly isDraining: boolean;
  /** Is this process a worker of node:cluster, which shares its ports with the others? */
  readonly isWorker: boolean;
  readonly log: Log;
  answer(received: unknown): HeartbeatReply;
  /** A request was refused before its handler ran, since nobody waits for the answer. `door`: its name. */
  refusedLate(door: string): void;
  /** The door listens now. It must not throw. */
  opened(): void;
  /** Resolves when nobody needs the server any more. May be called often. */
  drain(): Promise<void>;
}

export interface HeartbeatReply {
  readonly answer: HeartbeatAnswer;
  /** Must the connection be closed after the answer? */
  readonly closes: boolean;
  /** Will the next call come over this connection? */
  readonly keeps: boolean;
}
