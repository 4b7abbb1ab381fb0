import { startRegistry } from './http/start.js';
import type { RunningRegistry } from './http/start.js';
import type { StartOptions } from './http/start-options.js';

// the engine's rooms, for a simulation that plants bugs in them to see whether it would find them
export { Feed } from './feed.js';
export { Judge } from './judge.js';
export { Preservation } from './preservation.js';
export { Roster } from './roster.js';

/** Heartbeats come this often, so that what takes intervals takes no time; a busy machine still answers within 0.4 of it. */
const INTERVAL_MS = 250;

/** A registry of its own for one test: any free port, in memory, with short intervals. The test closes it. */
export function startTestRegistry(options: StartOptions = {}): Promise<RunningRegistry> {
  return startRegistry({ port: 0, intervalMs: INTERVAL_MS, ...options });
}
