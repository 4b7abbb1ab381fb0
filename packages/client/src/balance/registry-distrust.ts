import type { Instance, ReasonCode } from '@rollcall/core';
import type { Node } from './nodes/node.js';

/** The registry received no heartbeat: because of the instance, or because of its own network. The other reasons prove a failure. */
const SILENCES: ReadonlySet<ReasonCode> = new Set(['INBOUND_SILENT', 'OUTBOUND_SILENT', 'SILENT', 'PRESERVED', 'LAST']);

/** The rule needs more than this share of the service, … */
const MASS_RATIO = 0.3;
/** … at least this number of instances, … */
const MIN_DOUBTED = 3;
/** … and all of them doubted within this number of heartbeat intervals. */
export const WINDOW_INTERVALS = 2;

/** True if the registry doubts the instance only because of silence. */
export function isSilent(instance: Instance): boolean {
  return instance.state === 'UNHEALTHY' && SILENCES.has(instance.reason.code);
}

/**
 * The panic rule: if the registry, within two intervals, begins to doubt more than 30 % of a service and at least three instances because
 * of silence, the registry itself is probably cut off. Those instances are trusted until the registry reports another state for them: they
 * keep their tier, and the results of our own calls decide. An instance that failed since its last success, or whose failure the registry
 * can prove, is not trusted. (Eureka's self-preservation, on the side of the caller.)
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
