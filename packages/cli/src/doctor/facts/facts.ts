import type {
  BudgetAnswer,
  CallableCount,
  Container,
  Endpoint,
  Instance,
  InstanceId,
  LineLosses,
  OpenFiles,
  OverrideTerms,
  RefusedAnswer,
  StoreTrouble,
} from '@rollcall/core';
import type { Heartbeats } from '../../registry/heartbeats.js';
import type { Progress } from './send-request.js';

/** The result of an HTTP request. */
export type ProbeResult = ProbeAnswer | ProbeFailure;

export interface ProbeAnswer {
  readonly kind: 'answer';
  readonly status: number;
  /** The content type and the server program from its headers; empty: none. */
  readonly contentType: string;
  readonly server: string;
  /** Its `Date`, ms since 1970, to the second; null: no such header. */
  readonly date: number | null;
  /** Undefined: no JSON. */
  readonly body: unknown;
  /** The start of the body. */
  readonly text: string;
  /** The size of its body, in bytes. */
  readonly size: number;
  readonly roundTripMs: number;
}

export interface ProbeFailure {
  readonly kind: 'failure';
  /** Node's code: `ECONNREFUSED`; empty: none. */
  readonly code: string;
  /** Verbatim. */
  readonly text: string;
  /** The explanation, where more is known than the text. */
  readonly explanation: string | null;
  /** The progress of the request. */
  readonly progress: Progress;
}

/** One address, and what answers a request of the registry there. */
export interface AddressFacts {
  readonly address: string;
  /** True if the host of the URL resolves to it. False: it is the loopback address of the other family. */
  readonly isNamed: boolean;
  readonly isRegistry: boolean;
  /** Null: no registry reported it. */
  readonly epoch: string | null;
  readonly instances: number;
  /** The observation as a text. */
  readonly text: string;
}

/** The connection to the registry. */
export interface ContactFacts {
  /** The first answer to a request about the registry; a failure: no try was answered. */
  readonly contact: ProbeResult;
  /** True if a small request was answered while the one about the registry was not answered. */
  readonly isSmallAnswered: boolean;
  /** True if TLS answers where the URL has http and connections end without an answer. */
  readonly isTls: boolean;
  /** Empty: there is only one, or it was not needed. */
  readonly addresses: readonly AddressFacts[];
}

/** Another registry of the list in ROLLCALL_URL. */
export type PeerFacts = Omit<AddressFacts, 'address' | 'isNamed'> & { readonly url: string };

/** The probes of the connection to a registry that answers. */
export interface ConnectionProbes {
  /** A failure of the request for an answer of more than 64 KiB; null: it arrived, or none was requested. */
  readonly large: ProbeFailure | null;
  /** The result of holding a change feed. */
  readonly stream: StreamFacts;
}

export interface StreamFacts {
  /**
   * `held`: open all the time; `ended`: by the other side; `silent`: a connection without the head of an answer;
   * `refused`: by the registry, or no connection.
   */
  readonly outcome: 'held' | 'ended' | 'silent' | 'refused';
  readonly afterMs: number;
  readonly text: string;
}

/** The process of this command. */
export interface LocalFacts {
  /** The container that it runs in; null: none is recognised. */
  readonly container: Container | null;
  /** Files that it may have open; null: not known. */
  readonly openFiles: number | null;
  /** The number of requests that could not be sent for lack of file descriptors. */
  readonly untried: number;
}

/** All tries to reach the registry. */
export interface AttemptFacts {
  readonly count: number;
  readonly failures: readonly ProbeFailure[];
  /** Bytes of the largest answer that arrived as a whole. */
  readonly largestAnswer: number;
}

/** The result of probing an instance's address from here. */
export interface PortProbe {
  readonly endpoint: Endpoint;
  /**
   * `itself`: it reported its own id; `another`: a different id; `open`: the port accepts connections, and the id was
   * not requested; `refused`: no process listens; `silent`: no answer in time; `untried`: this process has no free file
   * descriptor for it; `failed`: anything else.
   */
  readonly outcome: 'itself' | 'another' | 'open' | 'refused' | 'silent' | 'untried' | 'failed';
  /** Verbatim. */
  readonly text: string;
}

/** The facts about one instance. */
export interface InstanceFacts {
  readonly instance: Instance;
  /** Null: it was not requested. */
  readonly heartbeats: Heartbeats | null;
  /** The number of recent falls; null: unknown. */
  readonly falls: number | null;
  /** True if it holds its line; null: unknown. */
  readonly line: boolean | null;
  /** One for each endpoint; empty: not tried. */
  readonly portProbes: readonly PortProbe[];
  /** The last rounds of Heartbeat-1, oldest first: true if answered. Empty: not requested. */
  readonly rounds: readonly boolean[];
  /** The number of times its stream ended within ten minutes although it lives; null: never, or unknown. */
  readonly lineLosses: LineLosses | null;
  /** The setting that drained it or put it into maintenance: operator, time and reason; null: none, or unknown. */
  readonly away: OverrideTerms | null;
}

/** The registry's own state; null: not reported. */
export interface RegistryFacts {
  readonly version: string | null;
  readonly epoch: string | null;
  /** The number of registered instances; null: not reported. */
  readonly instances: number | null;
  /** Files that its process has open, and may have. */
  readonly files: OpenFiles | null;
  /** The container that it runs in; null: none, or not reported. */
  readonly container: Container | null;
  readonly insecure: boolean;
  readonly access: string;
  readonly host: string | null;
  readonly intervalMs: number;
  /** The time by its own clock, ms since 1970; null: not reported. */
  readonly startedAt: number | null;
  readonly flappingLimit: number | null;
  readonly store: {
    readonly name: string;
    readonly durable: boolean;
    readonly trouble: StoreTrouble | null;
  } | null;
  readonly preservation: { readonly text: string; readonly sinceMs: number | null } | null;
  /** The expiry of its certificate, ms since 1970; null: it does not use TLS. */
  readonly certificateExpiresAt: number | null;
  /** Access tokens that end soon, the first to end first. */
  readonly endingTokens: readonly { readonly id: string; readonly owner: string; readonly expiresAt: number }[];
  readonly refused: readonly RefusedAnswer[];
  readonly budgets: readonly BudgetAnswer[];
}

/** The number of instances of a service, and of those that callers may call. */
export type ServiceCount = Pick<CallableCount, 'all' | 'callable' | 'leaving'>;

/** The calls from all instances of one service to another, in the last window that each caller reported. */
export interface CallEdge {
  readonly namespace: string;
  readonly from: string;
  readonly to: string;
  /** Instances of `from` that reported these calls. */
  readonly callers: number;
  readonly calls: number;
  readonly perSecond: number;
  /** Calls that failed after all retries. */
  readonly failures: number;
  /** The mean length of the callers' windows; null: unknown, as without calls. */
  readonly windowMs: number | null;
  /** The age of the newest report. */
  readonly ageMs: number;
  readonly targets: readonly CallTarget[];
}

/** The part of an edge that went to one instance. */
export interface CallTarget {
  readonly instance: InstanceId;
  /** An estimate, computed from a rate with one decimal; null: unknown. */
  readonly attempts: number | null;
  readonly failures: number;
  /** The numbers of callers whose circuit to it is closed, open and half-open. */
  readonly circuits: { readonly closed: number; readonly open: number; readonly halfOpen: number };
}

/** The calls between services; `unread`: the registry did not answer the request, and why. */
export type CallFacts =
  | { readonly kind: 'read'; readonly edges: readonly CallEdge[] }
  | { readonly kind: 'unread'; readonly why: string };

/** The scope of the command, besides the registry itself. */
export type Scope =
  | { readonly kind: 'all' }
  | { readonly kind: 'namespace'; readonly namespace: string }
  /** `namespace` is `*` if the service was searched in all of them. */
  | { readonly kind: 'service'; readonly namespace: string; readonly service: string }
  | { readonly kind: 'instances' };

/** The facts from which the findings follow. */
export interface Facts extends Omit<ContactFacts, 'contact'> {
  readonly url: string;
  readonly local: LocalFacts;
  readonly attempts: AttemptFacts;
  /** Null: no registry answered. */
  readonly connection: ConnectionProbes | null;
  /** The others of the list in ROLLCALL_URL. */
  readonly peers: readonly PeerFacts[];
  /** The requested data that did not arrive, as texts. */
  readonly missing: readonly string[];
  /** The wall clock of this machine, ms since 1970, at the middle of the request about the registry. */
  readonly wall: number;
  /** The version of this command. */
  readonly version: string;
  /** True if a token or a certificate was sent. */
  readonly hasToken: boolean;
  /** The registry's answer about itself. */
  readonly contact: ProbeResult;
  /** Null: it answered otherwise. */
  readonly registry: RegistryFacts | null;
  readonly instances: readonly InstanceFacts[];
  /** Counts by `<namespace>/<service>`, for all instances of a service; empty if only some instances were requested. */
  readonly counts: ReadonlyMap<string, CallableCount>;
  readonly scope: Scope;
  /** Counts by `<namespace>/<service>`, of every service of the registry, whatever the scope. */
  readonly services: ReadonlyMap<string, ServiceCount>;
  /** True if the registry has services in several namespaces. */
  readonly hasNamespaces: boolean;
  /** The printed name by id; empty: unknown. */
  readonly names: ReadonlyMap<InstanceId, string>;
  readonly calls: CallFacts;
  /** The number of instances that were left out because of the limit. */
  readonly omitted: number;
  /** True if their ports were to be probed. */
  readonly shouldProbePorts: boolean;
}
