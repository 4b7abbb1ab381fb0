// a whole registry
export { startRegistry } from './http/start.js';
export type { RunningRegistry, StartOptions } from './http/start.js';

// the engine, for whoever brings its own clock, network and store
export { Registry } from './registry.js';
export type { RegistryOptions, RegistryPorts } from './registry.js';
export type {
  DirectionAnswer,
  Ender,
  InstanceAnswer,
  Outcome,
  Peer,
  RegistryAnswer,
  RegistryFace,
  ServiceAnswer,
  ServicesAnswer,
  ServiceSummary,
  SharedFrame,
  Watcher,
  WatcherSink,
  WatchOrder,
} from './face.js';
export { DEFAULT_LIMITS } from './limits.js';
export type { Limits } from './limits.js';
export type { Resolve } from './admission.js';
export type { Caller, CallOutcome } from './caller/caller.js';
export { diskStore } from './store/disk.js';
export type { DiskStoreOptions } from './store/disk.js';
export { MemoryStore } from './store/memory.js';
export type { Contents, Store, StoredInstance, StoredTombstone, Write } from './store/store.js';
