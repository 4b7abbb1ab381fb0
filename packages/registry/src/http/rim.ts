import type { Log, Time } from '@rollcall/core';
import type { RegistryFace } from '../face.js';
import type { Entrance } from './access.js';

/** What each group of routes gets. */
export interface Rim {
  readonly registry: RegistryFace;
  readonly time: Time;
  readonly log: Log;
  /** Open to the network without tokens, and told so by whoever started it. */
  readonly insecure: boolean;
  /** Who may come in: whoever reaches the port, or the bearers of tokens. */
  readonly access: 'open' | 'tokens';
  readonly entrance: Entrance;
  /**
   * How to end each answer that lasts (streams, long polls). Closing the server calls them all; an entry takes itself out when
   * its answer is over.
   */
  readonly lasting: Set<() => void>;
}
