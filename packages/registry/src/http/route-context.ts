import type { BudgetAnswer, EndingToken, Log, ProcessFacts, RegistryStatus, Time } from '@rollcall/core';
import type { IncomingMessage } from 'node:http';

import type { Load } from '../metrics/host-budget.js';

import type { RegistryMetrics } from '../metrics/registry-metrics.js';
import type { RegistryApi } from '../registry-api.js';
import type { Authorization } from './access/authorization.js';
import type { ServerTls } from './access/tls.js';
import type { Refused } from './routes/diagnostics.js';

/** The context that each group of routes receives. */
export interface RouteContext {
  readonly registry: RegistryApi;
  readonly time: Time;
  readonly log: Log;
  /** True if the registry is open to the network without tokens or certificates, and configured so. */
  readonly insecure: boolean;
  /**
   * The clients with access: every client that reaches the port, bearers of tokens (or of certificates, if TLS asks for
   * them), or of certificates only.
   */
  readonly access: RegistryStatus['access'];
  /** Null or omitted: plain HTTP. */
  readonly tls?: ServerTls | null;
  readonly authorization: Authorization;
  /** The recent refusals; omitted: not recorded. */
  readonly refused?: Refused;
  /** Tokens that expire soon; omitted: tokens are not required. */
  readonly endingTokens?: (() => readonly EndingToken[]) | undefined;
  /** The metrics, which also count answers; omitted: none are counted. */
  readonly metrics?: RegistryMetrics;
  /** The budgets of the host and their use by a load; omitted: not known. */
  readonly host?: ((load: Load) => readonly BudgetAnswer[]) | undefined;
  /** The facts about the process; omitted: not known. */
  readonly process?: (() => Promise<ProcessFacts>) | undefined;
  /**
   * The functions that end long-lived answers (streams, long polls). Closing the server calls them all; an answer
   * removes its own when it is over.
   */
  readonly lasting: Set<() => void>;
  /** Work larger than a heartbeat waits here for its turn. */
  readonly queue: { turn(request: Pick<IncomingMessage, 'socket'>): Promise<void> };
}
