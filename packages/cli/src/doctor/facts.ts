import type { CallableCount, Endpoint, Instance, OverrideTerms } from '@rollcall/core';
import type { Heartbeats } from '../heartbeats.js';

/** What came back from a question over HTTP. */
export type Asked = Answer | Failure;

export interface Answer {
  readonly kind: 'answer';
  readonly status: number;
  /** What it says of its kind and of its program; empty: nothing. */
  readonly contentType: string;
  readonly server: string;
  /** Its `Date`, ms since 1970; null: it said none. To the second. */
  readonly date: number | null;
  /** Undefined: no JSON. */
  readonly body: unknown;
  /** The beginning of what it said. */
  readonly text: string;
  readonly roundTripMs: number;
}

export interface Failure {
  readonly kind: 'failure';
  /** Node's code: `ECONNREFUSED`; empty where there is none. */
  readonly code: string;
  /** Verbatim. */
  readonly text: string;
  /** What it means, where more is known than the text says. */
  readonly trouble: string | null;
}

/** How an instance's address answers, asked from here. */
export interface Reach {
  readonly endpoint: Endpoint;
  /**
   * `itself`: it said its own id; `another`: somebody else's; `open`: the port takes connections, and who is there was not asked;
   * `refused`: nobody listens; `silent`: nothing came in time; `failed`: anything else.
   */
  readonly outcome: 'itself' | 'another' | 'open' | 'refused' | 'silent' | 'failed';
  /** Verbatim. */
  readonly text: string;
}

/** What is known of one instance. */
export interface InstanceFacts {
  readonly instance: Instance;
  /** Null: it was not asked for. */
  readonly heartbeats: Heartbeats | null;
  /** How often it fell lately; null: not known. */
  readonly falls: number | null;
  /** Does it hold its line? Null: not known. */
  readonly line: boolean | null;
  /** One for each endpoint; empty: not tried. */
  readonly reach: readonly Reach[];
  /** Who drained it, or put it into maintenance, when and why; null: nobody, or not known. */
  readonly away: OverrideTerms | null;
}

/** A registration that the registry refused. */
export interface RefusedFacts {
  readonly code: string;
  readonly detail: string;
  readonly fix: string;
  readonly from: string;
  readonly service: string | null;
  readonly times: number;
  readonly agoMs: number;
}

/** What the registry says of itself; null: it did not say. */
export interface RegistryFacts {
  readonly version: string | null;
  readonly insecure: boolean;
  readonly access: string;
  readonly host: string | null;
  readonly intervalMs: number;
  /** By its own clock, ms since 1970; null: not told. */
  readonly startedAt: number | null;
  readonly flappingLimit: number | null;
  readonly store: {
    readonly name: string;
    readonly durable: boolean;
    readonly trouble: { readonly text: string; readonly sinceMs: number; readonly owed: number } | null;
  } | null;
  readonly preservation: { readonly text: string; readonly sinceMs: number | null } | null;
  /** When its certificate ends, ms since 1970; null: it speaks no TLS. */
  readonly certificateUntil: number | null;
  /** Access tokens that end soon, the first to end first. */
  readonly endingTokens: readonly { readonly id: string; readonly whose: string; readonly until: number }[];
  readonly refused: readonly RefusedFacts[];
  readonly budgets: readonly {
    readonly name: string;
    readonly have: number;
    readonly used: number;
    readonly remedy: string;
  }[];
}

/** Everything that is judged. */
export interface Facts {
  readonly url: string;
  /** Of this machine, ms since 1970, at the middle of the question about the registry. */
  readonly wall: number;
  /** Of this command. */
  readonly version: string;
  /** Was a token, a certificate, shown? */
  readonly hasToken: boolean;
  /** How the registry answers when it is asked about itself. */
  readonly contact: Asked;
  /** Null: it answered otherwise. */
  readonly registry: RegistryFacts | null;
  readonly instances: readonly InstanceFacts[];
  /** By `<namespace>/<service>`, of all instances of a service; empty where only some instances were asked for. */
  readonly counts: ReadonlyMap<string, CallableCount>;
  /** Instances that were left out, because there are so many. */
  readonly left: number;
  /** Were their ports to be tried? */
  readonly triesPorts: boolean;
}
