import { startRegistry } from './http/start.js';
import type { RegistryOptions, RunningRegistry } from './http/start.js';

/** Heartbeats come this often, so that what takes intervals takes no time; a busy machine still answers within 0.4 of it. */
const INTERVAL_MS = 250;

/** A registry of its own for one test: any free port, in memory, with short intervals. The test closes it. */
export function startTestRegistry(options: RegistryOptions = {}): Promise<RunningRegistry> {
  return startRegistry({ port: 0, intervalMs: INTERVAL_MS, ...options });
}
