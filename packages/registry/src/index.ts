// a whole registry
export { startRegistry } from './http/start.js';
export type { RegistryOptions, RunningRegistry } from './http/start.js';
