import type { StoredTombstone } from '../store/store.js';
import type { ServiceEntry, InstanceTable } from './instance-table.js';

const KEPT_MS = 600_000;
/**
 * Every tombstone is part of each whole view of its service. So a service keeps as many as it has instances (a rollout
 * replaces each once), which at most doubles a view, and at least this many. All services together keep as many as
 * there are instances, and at least `MIN_TOTAL`. Instances that register and leave in a loop displace only their own
 * tombstones.
 */
const MIN_PER_SERVICE = 1_000;
const MIN_TOTAL = 20_000;

/**
 * The tombstones that may be dropped: old ones, and the oldest beyond the limits. A watcher that resumes from before
 * one of them gets the whole view instead, in which absence is a confirmed removal. `now`: monotonic ms.
 */
export function surplusTombstones(table: InstanceTable, now: number): ReadonlySet<StoredTombstone> {
  const found = new Set(table.tombstonesBefore(now - KEPT_MS));
  if (table.tombstoneCount - found.size <= MIN_PER_SERVICE) return found;
  for (const service of table.allServices()) for (const one of surplusOf(service)) found.add(one);
  let surplus = table.tombstoneCount - found.size - Math.max(MIN_TOTAL, table.size);
  if (surplus <= 0) return found;
  for (const tombstone of table.tombstonesBefore(Infinity)) {
    if (surplus <= 0) break;
    if (found.has(tombstone)) continue;
    found.add(tombstone);
    surplus -= 1;
  }
  return found;
}

/** The oldest ones of a service beyond its limit. */
function* surplusOf({ members, tombstones }: Readonly<ServiceEntry>): Iterable<StoredTombstone> {
  let surplus = tombstones.size - Math.max(MIN_PER_SERVICE, members.size);
  for (const tombstone of tombstones.values()) {
    if (surplus <= 0) return;
    yield tombstone;
    surplus -= 1;
  }
}
