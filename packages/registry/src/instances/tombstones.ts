import type { StoredTombstone } from '../store/store.js';
import type { ServiceEntry, InstanceTable } from './instance-table.js';

const KEPT_MS = 600_000;
/**
 * Every tombstone is in every whole view of its service. So a service keeps as many as it has instances (a rollout replaces each of
 * them once), so that a view at most doubles, and this many where it has fewer. Of all services together as many as there are
 * instances, and at least `LEAST_IN_ALL`. Who registers and leaves in a loop only pushes out its own.
 */
const LEAST_OF_SERVICE = 1_000;
const LEAST_IN_ALL = 20_000;

/**
 * The tombstones that need not be kept: those that are old, and of too many the oldest. Whoever resumes from before one of them is
 * sent the whole view instead, in which absence is a confirmed removal. `now`: monotonic ms.
 */
export function superfluous(table: InstanceTable, now: number): ReadonlySet<StoredTombstone> {
  const found = new Set(table.tombstonesBefore(now - KEPT_MS));
  if (table.tombstoneCount - found.size <= LEAST_OF_SERVICE) return found;
  for (const service of table.allServices()) for (const one of surplusOf(service)) found.add(one);
  let surplus = table.tombstoneCount - found.size - Math.max(LEAST_IN_ALL, table.size);
  if (surplus <= 0) return found;
  for (const tombstone of table.tombstonesBefore(Infinity)) {
    if (surplus <= 0) break;
    if (found.has(tombstone)) continue;
    found.add(tombstone);
    surplus -= 1;
  }
  return found;
}

/** The oldest of a service that has too many. */
function* surplusOf({ members, tombstones }: Readonly<ServiceEntry>): Iterable<StoredTombstone> {
  let surplus = tombstones.size - Math.max(LEAST_OF_SERVICE, members.size);
  for (const tombstone of tombstones.values()) {
    if (surplus <= 0) return;
    yield tombstone;
    surplus -= 1;
  }
}
