import { Node } from '../../balance/nodes/node.js';
import type { NodeParts } from '../../balance/nodes/node.js';
import type { PickReason } from '../../transport/tracing.js';
import type { AttemptTrace } from '../../transport/tracing.js';
import type { Channel, Failure } from '../../transport/transport.js';
import type { Method } from './method.js';

/** A node with its channel. */
export class ConnectedNode<Request> extends Node {
  readonly channel: Channel<Request>;
  /** The last failure of its connections: all calls on a broken connection fail with the same object, which is counted once. */
  lastIncident: Failure | null = null;
  /** Consecutive failures without a response in between. */
  failuresInARow = 0;

  constructor(parts: NodeParts, channel: Channel<Request>) {
    super(parts);
    this.channel = channel;
  }
}

/** An attempt as the upstream sees it. */
export interface Attempted<Request> {
  readonly node: ConnectedNode<Request>;
  readonly method: Method;
  readonly reason: PickReason;
  /** The time when its node was picked, ms of Time. */
  readonly startedAt: number;
  /** The time when it was sent, or when its connection was open: the time to connect is not part of the instance's load. */
  readonly sentAt: number;
  /** True if it is the single probe of its node. */
  isProbe: boolean;
  /** The trace of the attempt; null: not traced. */
  readonly trace: AttemptTrace | null;
  /** How long the caller would have waited, ms: the minimum duration that a failure counts as. */
  readonly patienceMs: number;
  /** Its index in the pick log. */
  pick: number;
}
