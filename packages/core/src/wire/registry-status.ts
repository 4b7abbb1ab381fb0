/** The answer of `GET /api/v1/registry`: the status of a registry, for operators, dashboards and tools. */
import type { Policy } from '../lifecycle/policy.js';
import type { Container } from '../runtime/container.js';
import type { HeartbeatTerms } from './protocol.js';

/** Why the store does not accept writes. */
export interface StoreTrouble {
  /** The error, verbatim. */
  readonly text: string;
  /** Time since the first failed write, ms. */
  readonly sinceMs: number;
  /** Instances whose latest changes are retried until the store accepts them. */
  readonly owed: number;
}

/** A scope of self-preservation: the whole registry, or one service. */
export interface ScopeAnswer {
  /** Instances that silence made CRITICAL within the last ten minutes, and the maximum. */
  readonly used: number;
  readonly allowed: number;
  /** The ten-minute peak of instances that were proved and heard by this process. */
  readonly peak: number;
  /** The current number of proved instances, and how many of them are silent. */
  readonly total: number;
  readonly silent: number;
  /** The rule that currently holds; null: none does, or no silent instance exists that it could hold. */
  readonly rule: 'mass' | 'after-mass' | 'allowance' | 'doubt' | null;
  /** The same as a sentence without a full stop. */
  readonly text: string | null;
  /** For how long the rule holds, ms. */
  readonly sinceMs: number | null;
}

/** The state of self-preservation. Durations in ms. */
export interface PreservationAnswer {
  readonly active: boolean;
  /** A sentence for operators. */
  readonly text: string;
  /** For how long it holds, ms; null: no instance is held. */
  readonly sinceMs: number | null;
  readonly registry: ScopeAnswer;
  /** Services whose own gate holds an instance, longest first, at most 50. */
  readonly services: readonly (ScopeAnswer & { readonly namespace: string; readonly service: string })[];
  /** The number of those services. */
  readonly servicesHolding: number;
}

/** The value of an option and its source. */
export interface DescribedOption {
  readonly value: unknown;
  readonly source: 'default' | 'preset' | 'option';
}

/** The limits of a registry. A request beyond one is refused with 429 and a fix. */
export interface Limits {
  /** The maximum number of instances, 1 … 1,000,000. */
  readonly maxInstances: number;
  /**
   * Instances first registered from one source, 1 … 1,000,000; also the number of new ones (at least 100) that it may
   * register a minute.
   */
  readonly maxInstancesPerSource: number;
  /** Instances of one service, 1 … 1,000,000. */
  readonly maxInstancesPerService: number;
  /**
   * Instances that one access token (or certificate) holds, 1 … 1,000,000. Without effect if tokens are not required.
   */
  readonly maxInstancesPerToken: number;
  /** Registrations with one access token, of known instances too, at once and again a minute: 1 … 1,000,000. */
  readonly maxRegistrationsPerToken: number;
  /** Open change feeds and long polls in all, 1 … 1,000,000. The lines of instances are not counted. */
  readonly maxWatchers: number;
  /** Open change feeds and long polls from one source, 1 … 1,000,000, without lines. */
  readonly maxWatchersPerSource: number;
  /** Concurrent Heartbeat-1 calls, 1 … 100,000: further calls wait, which does not count against their instances. */
  readonly maxCalls: number;
}

/** The status of a registry's engine, part of `GET /api/v1/registry`. */
export interface RegistryAnswer {
  readonly replica: string;
  readonly epoch: string;
  readonly revision: number;
  readonly settled: boolean;
  readonly startedAt: number;
  /** `trouble`: why the store does not accept writes; null: it does. */
  readonly store: { readonly name: string; readonly durable: boolean; readonly trouble: StoreTrouble | null };
  readonly heartbeat: HeartbeatTerms;
  readonly watchers: number;
  readonly instances: number;
  /** Number of tombstones. */
  readonly tombstones: number;
  /** The hash of the newest revision; its computation: docs/PROTOCOL.md. */
  readonly view: { readonly revision: number; readonly hash: string };
  /**
   * How late Heartbeat-1 is: 99 % of the calls of the last one to two intervals began at most this many ms late; and
   * the number of queued calls.
   */
  readonly calls: { readonly p99LateMs: number; readonly waiting: number };
  readonly preservation: PreservationAnswer;
  readonly policy: Policy;
  readonly limits: Limits;
  /** The options with which it was started, as far as they were passed. */
  readonly options: Readonly<Record<string, DescribedOption>>;
}

/** A refused registration; those of one source for one reason are counted together. */
export interface RefusedAnswer {
  /** The code of the refusal: `UNAUTHORIZED`, `ADDRESS_NOT_ALLOWED`, … */
  readonly code: string;
  readonly detail: string;
  readonly fix: string;
  /** The address it came from. */
  readonly from: string;
  /** Null: it was refused before it was read, or contains no id. */
  readonly service: string | null;
  readonly times: number;
  /** Time since the last one, ms. */
  readonly agoMs: number;
}

/** A budget of the host, such as open files, and how much of it is used. */
export interface BudgetAnswer {
  readonly name: string;
  readonly have: number;
  readonly used: number;
  readonly remedy: string;
}

export interface OpenFiles {
  readonly open: number;
  readonly most: number;
}

/** The facts about the process. Null: not known. */
export interface ProcessFacts {
  readonly files: OpenFiles | null;
  readonly container: Container | null;
}

/** The roles of access tokens and client certificates. */
export const ROLES = ['service', 'reader', 'operator'] as const;
export type Role = (typeof ROLES)[number];

/** A token that expires soon. */
export interface EndingToken {
  /** The id of the token; not a secret. */
  readonly id: string;
  readonly role: Role;
  /** For a `service`: the names that it may register and act for. Empty for other roles. */
  readonly services: readonly string[];
  /** Wall clock, ms since 1970. */
  readonly expiresAt: number;
}

/** The certificate of the registry. */
export interface TlsAnswer {
  /** Expiry of its own certificate, wall clock, ms since 1970. */
  readonly expiresAt: number;
  /** SHA-256 of its own certificate. */
  readonly fingerprint: string;
  /** The subject alternative names of its own certificate, `DNS:registry.internal`. */
  readonly names: readonly string[];
  /** True if clients are asked for certificates. */
  readonly clientCertificates: boolean;
  /** True if they are checked against revocation lists. */
  readonly revocationList: boolean;
}

/** `GET /api/v1/registry` */
export interface RegistryStatus extends RegistryAnswer, ProcessFacts {
  readonly version: string;
  /**
   * How access is granted: to every client that reaches the port, to bearers of tokens (or of certificates, if TLS asks for them), or to
   * bearers of certificates only.
   */
  readonly access: 'open' | 'tokens' | 'certificates';
  /** True if the registry is open to the network without tokens or certificates, and configured like this. */
  readonly insecure: boolean;
  /** Null: plain HTTP. */
  readonly tls: TlsAnswer | null;
  /** The role and id of the sender of the request; null if no credentials are required. */
  readonly visitor: { readonly role: Role; readonly id: string } | null;
  /** The refusals of the last ten minutes, newest first, 50 at most. */
  readonly refused: readonly RefusedAnswer[];
  /** The budgets of its host, and how much of each is used; empty: not known. */
  readonly host: readonly BudgetAnswer[];
  /** Tokens that expire within two weeks, the first to expire first, at most ten. */
  readonly endingTokens: readonly EndingToken[];
}
