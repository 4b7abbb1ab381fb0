import { NO_SEAMS } from './registry-node.js';
import type { RegistrySeams } from './registry-node.js';

/** What is planted in one town; see mutants.ts. */
export type Bugs = RegistrySeams;

export const noBugs: Bugs = NO_SEAMS;
