import type { InstanceId, Protocol } from '@rollcall/core';
import type { Node } from '../balance/nodes/node.js';
import { isSelected } from '../balance/nodes/selector.js';
import type { Selector } from '../balance/nodes/selector.js';
import type { EjectionCause } from '../breaker/breaker.js';
import { SHUT } from '../breaker/gate.js';
import type { FailureKind } from '../transport/transport.js';
import type { ServiceState, ShedCause, StateEvent } from './events.js';

/** Receives the events of the instances of a lane. Its methods must not throw. */
export interface LaneEvents {
  ejected(protocol: Protocol, instance: InstanceId, cause: EjectionCause, failure: FailureKind): void;
  readmitted(protocol: Protocol, instance: InstanceId, cause: EjectionCause): void;
  became(protocol: Protocol, state: ServiceState, cause: StateEvent['cause']): void;
  /** An attempt failed in any way. */
  failed(failure: FailureKind): void;
  shed(cause: ShedCause, instance: InstanceId | null): void;
}

/**
 * OPEN: no instance can be called. DEGRADED: some instances are ejected. CLOSED: none is ejected. `mayBeEjected` is false if no instance is
 * known to be ejected; then the search ends at the first callable instance.
 */
export function stateOf(nodes: Iterable<Node>, selector: Selector, mayBeEjected: boolean): ServiceState {
  let isUsable = false;
  let isAnyEjected = false;
  for (const node of nodes) {
    if (!isSelected(node.instance, selector)) continue;
    isUsable ||= node.breaker.gate !== SHUT;
    isAnyEjected ||= node.breaker.cause !== null;
    if (isUsable && (isAnyEjected || !mayBeEjected)) break;
  }
  if (!isUsable) return 'OPEN';
  return isAnyEjected ? 'DEGRADED' : 'CLOSED';
}
