import type { Log, Time } from '@rollcall/core';
import type { RegistryFace } from '../face.js';

/** What each group of routes gets. */
export interface Rim {
  readonly registry: RegistryFace;
  readonly time: Time;
  readonly log: Log;
  /** Open to the network without tokens, and told so by whoever started it. */
  readonly insecure: boolean;
  /**
   * How to end each answer that lasts (streams, long polls). Closing the server calls them all; an entry takes itself out when
   * its answer is over.
   */
  readonly lasting: Set<() => void>;
}
