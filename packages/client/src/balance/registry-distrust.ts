import type { Instance, ReasonCode } from '@rollcall/core';
import type { Node } from './nodes/node.js';

/**
 * The registry has heard nothing: of the instance, or because of its own network. The other reasons are proof of
 * something.
 */
const SILENCES: ReadonlySet<ReasonCode> = new Set(['INBOUND_SILENT', 'OUTBOUND_SILENT', 'SILENT', 'PRESERVED', 'LAST']);

/** More than this share of the service, … */
const MASS_RATIO = 0.3;
/** … and at least this number of them, … */
const MIN_DOUBTED = 3;
/** … doubted within this number of heartbeat intervals. */
export const WINDOW_INTERVALS = 2;

/** True if the registry doubts it only because of silence. */
export function isSilent(instance: Instance): boolean {
  return instance.state === 'UNHEALTHY' && SILENCES.has(instance.reason.code);
}

/**
 * The panic rule: when the registry, within two intervals, loses sight of more than 30 % of a service and of at least
 * three instances, it is probably the registry that is cut off. Those instances are trusted until it reports another
 * state for them: they keep their tier, and our own calls decide: an instance that failed since its last success is not
 * trusted. (Eureka's self-preservation, on the caller's side.) An instance with proof against it is not trusted.
 */
export function trustMassDoubted(nodes: Iterable<Node>, now: number, windowMs: number): void {
  const doubted: Node[] = [];
  let count = 0;
  for (const node of nodes) {
    count += 1;
    if (node.isTrusted || now <= node.doubtedAt + windowMs) doubted.push(node);
  }
  if (doubted.length < MIN_DOUBTED || doubted.length <= MASS_RATIO * count) return;
  for (const node of doubted) if (node.breaker.isCalm) node.isTrusted = true;
}
