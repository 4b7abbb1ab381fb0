import type { Log, Time } from '@rollcall/core';
import type { IncomingMessage } from 'node:http';
import type { EndingToken } from '../access/token-expiry.js';
import type { BudgetAnswer, Load } from '../metrics/host-budget.js';
import type { ProcessFacts } from '../metrics/host-facts.js';
import type { RegistryMetrics } from '../metrics/registry-metrics.js';
import type { RegistryApi } from '../registry-api.js';
import type { Authorization } from './access/authorization.js';
import type { ServerTls } from './access/tls.js';
import type { Refused } from './routes/diagnostics.js';

/** What each group of routes gets. */
export interface RouteContext {
  readonly registry: RegistryApi;
  readonly time: Time;
  readonly log: Log;
  /** Open to the network without tokens or certificates, and told so by whoever started it. */
  readonly insecure: boolean;
  /** Who may come in: whoever reaches the port, the bearers of tokens (or of certificates, where TLS asks for them), or of certificates. */
  readonly access: 'open' | 'tokens' | 'certificates';
  /** Null, or left out: it speaks plain HTTP. */
  readonly tls?: ServerTls | null;
  readonly authorization: Authorization;
  /** Whom it refused lately; left out: nobody counts. */
  readonly refused?: Refused;
  /** Tokens that end soon; left out: none are asked for. */
  readonly endingTokens?: (() => readonly EndingToken[]) | undefined;
  /** What `/metrics` shows, and who counts what is answered; left out: nothing is counted of that. */
  readonly metrics?: RegistryMetrics;
  /** What the host carries, and how much of that such a load uses; left out: not known. */
  readonly host?: ((load: Load) => readonly BudgetAnswer[]) | undefined;
  /** How its process stands now; left out: not known. */
  readonly process?: (() => Promise<ProcessFacts>) | undefined;
  /**
   * How to end each answer that lasts (streams, long polls). Closing the server calls them all; an entry takes itself out when
   * its answer is over.
   */
  readonly lasting: Set<() => void>;
  /** Whatever is more work than a beat waits here for its turn. */
  readonly queue: { turn(request: Pick<IncomingMessage, 'socket'>): Promise<void> };
}
