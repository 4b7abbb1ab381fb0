import type { HeartbeatAnswer, Protocol } from '@rollcall/core';
import type { InFlight } from './in-flight.js';

/** A server of the application, as the agent sees it. */
export interface Door {
  /** For messages: `tcp`, `http`, `grpc`. */
  readonly name: string;
  readonly isListening: boolean;
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
export interface Keeper {
  readonly inFlight: InFlight;
  /** The instance id of this very process. */
  readonly id: string;
  readonly isDraining: boolean;
  /** Null for what is neither a Heartbeat-1 nor a question for our identity. */
  answer(received: unknown): HeartbeatReply | null;
  /** The door listens now. It must not throw. */
  opened(): void;
  /** Resolves when nobody needs the server any more. May be called often. */
  drain(): Promise<void>;
}

export interface HeartbeatReply {
  readonly answer: HeartbeatAnswer;
  /**
   * The called side closes first after a Heartbeat-1, so that the registry collects no TIME_WAIT. A caller who only asked
   * who we are is about to use the connection.
   */
  readonly closes: boolean;
}
