import { CLIENT_TARGETS } from './client-targets.js';
import { etcd } from './etcd-target.js';
import { MESSAGE_TARGETS } from './message-targets.js';
import { REGISTRY_TARGETS } from './registry-targets.js';
import { rimTarget } from './rim-target.js';
import { store } from './store-target.js';
import type { Target } from './target.js';
import { WIRE_TARGETS } from './wire-targets.js';

/** All targets. */
export const TARGETS: readonly Target[] = [
  ...WIRE_TARGETS,
  ...MESSAGE_TARGETS,
  ...CLIENT_TARGETS,
  ...REGISTRY_TARGETS,
  store,
  etcd,
  rimTarget(),
];
