import { Node } from '../../balance/nodes/node.js';
import type { NodeParts } from '../../balance/nodes/node.js';
import type { PickReason } from '../../transport/tracing.js';
import type { AttemptTrace } from '../../transport/tracing.js';
import type { Channel, Failure } from '../../transport/transport.js';
import type { Method } from './method.js';

/** A node with the way to it. */
export class ConnectedNode<Request> extends Node {
  readonly channel: Channel<Request>;
  /** The last failure of its connections: all calls on a broken one fail with the same object, which counts once. */
  lastIncident: Failure | null = null;
  /** Without an answer between. */
  failuresInARow = 0;

  constructor(parts: NodeParts, channel: Channel<Request>) {
    super(parts);
    this.channel = channel;
  }
}

/** An attempt as the lane sees it. */
export interface Attempted<Request> {
  readonly node: ConnectedNode<Request>;
  readonly method: Method;
  readonly reason: PickReason;
  /** When it was picked. */
  readonly startedAt: number;
  /** When it began, or when its connection was open: opening one says nothing about the instance's load. */
  readonly sentAt: number;
  /** Is it the one probe of its node? */
  isProbe: boolean;
  /** Who follows it; null: nobody. */
  readonly trace: AttemptTrace | null;
  /** How long it would have been waited for, ms: what a failure counts as, at least. */
  readonly patienceMs: number;
  /** Under which the lane remembers it. */
  pick: number;
}
