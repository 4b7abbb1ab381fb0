import type { Forecast } from '../lifecycle/deadlines.js';
import { REASON_CODES } from '../lifecycle/reason.js';
import type { Reason } from '../lifecycle/reason.js';
import { STATES } from '../lifecycle/vitals.js';
import { decimal, flag, integer, list, nullable, ONE_LINE, oneOf, openEnum, text, textMap } from '../options/kinds.js';
import type { Flaws, Message } from '../options/schema.js';
import { message, optional, required, withDefault } from '../options/schema.js';
import { isHost } from '../runtime/host.js';
import { ADMIN_STATES, addressOf, ENDPOINT_PROTOCOLS } from './instance.js';
import type { Endpoint, Instance, Metadata, Source, Tombstone } from './instance.js';
import { METHODS } from './methods.js';
import type { Methods } from './methods.js';

// ---- names ----------------------------------------------------------------------------------------------------------

/** Service name, namespace, zone: a DNS label. */
export const NAME_PATTERN = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
export const ID_PATTERN = /^[A-Za-z0-9._~-]{1,128}$/;
export const SECRET_PATTERN = /^[A-Za-z0-9_-]{22,128}$/;
/** Nonces, and the names of replicas. */
export const NONCE_PATTERN = /^[A-Za-z0-9_-]{8,64}$/;
export const EPOCH_PATTERN = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** The maximum number of services that one request, such as a watch, may list; for more, request `*`. */
export const MAX_NAMES_PER_REQUEST = 256;
export const DEFAULT_NAMESPACE = 'default';
export const DEFAULT_WEIGHT = 100;
export const DEFAULT_DRAIN_MS = 30_000;

export const NAME = text({ max: 63, pattern: NAME_PATTERN, allowed: `DNS label \`${NAME_PATTERN.source}\`` });
export const ID = text({
  max: 128,
  pattern: ID_PATTERN,
  // neither can be a segment of a URL path
  accepts: (id) => id !== '.' && id !== '..',
  allowed: `\`${ID_PATTERN.source}\`, not \`.\` or \`..\``,
});
export const EPOCH = text({ max: 36, pattern: EPOCH_PATTERN, allowed: 'UUID in lower case' });
export const REVISION = integer(0);
export const NONCE = text({ max: 64, pattern: NONCE_PATTERN, allowed: `\`${NONCE_PATTERN.source}\`` });
const SECRET = text({ max: 128, pattern: SECRET_PATTERN, allowed: `\`${SECRET_PATTERN.source}\``, secret: true });
const HOST = text({
  max: 253,
  accepts: isHost,
  allowed: 'IP address or host name; IPv4 in four decimal parts, IPv6 without brackets',
});
const VERSION = text({ max: 64, pattern: ONE_LINE, allowed: 'at most 64 characters, one line' });
const ZONE = text({ max: 63, pattern: /^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$/, allowed: 'DNS label, or empty' });
export const WEIGHT = integer(0, 1_000);
export const METADATA = textMap(64, 4_096);
export const WALL_CLOCK = decimal(0, 8.64e15);

// ---- the record -----------------------------------------------------------------------------------------------------

const SOURCES: readonly Source[] = ['native', 'eureka', 'consul', 'api'];

export const reasonMessage: Message<Reason> = message<Reason>('Reason', 'Why an instance is in its state.', {
  code: required(openEnum(REASON_CODES), 'a stable code for programs'),
  text: required(text({ max: 2_000, allowed: 'text, at most 2000 characters' }), 'a plain sentence for people'),
});

const endpointMessage = message<Endpoint>('Endpoint', 'The address of one protocol of an instance.', {
  protocol: required(
    openEnum(ENDPOINT_PROTOCOLS),
    'the protocol there; `heartbeat`: only Heartbeat-1, over HTTP, and no calls',
  ),
  host: required(HOST, 'an IP address or a host name'),
  port: required(integer(1, 65_535), 'the port'),
  tls: required(flag(), 'whether it uses TLS'),
});

export const forecastMessage: Message<Forecast> = message<Forecast>(
  'Forecast',
  'What happens next, if nothing else happens.',
  {
    state: required(openEnum([...STATES, 'REMOVED']), 'the next state'),
    afterMs: required(decimal(0), 'counts from the record’s `since`'),
    unless: required(
      nullable(openEnum(['HEARTBEAT_1', 'HEARTBEAT_2', 'PROOF'])),
      'what prevents it; `PROOF`: both heartbeats',
    ),
  },
);

export const instanceMessage: Message<Instance> = message<Instance>(
  'Instance',
  'One running process of a service. All of it is fixed at its `revision`: two reads of one revision are equal byte for byte.',
  {
    id: required(ID, 'unique per process start'),
    service: required(NAME, 'the name of the service'),
    namespace: required(NAME, 'the namespace of the service'),
    endpoints: required(list(endpointMessage, 1, 16), 'its addresses; the first is the primary'),
    version: required(VERSION, 'empty if unknown'),
    zone: required(ZONE, 'empty if unknown'),
    weight: required(WEIGHT, 'its share of calls relative to the other instances'),
    metadata: required(METADATA, 'free words'),
    methods: optional(METHODS, 'the policies of its methods, if it has declared any'),
    state: required(oneOf(STATES), 'the state in the view of the registry'),
    reason: required(reasonMessage, 'why it is in this state'),
    since: required(WALL_CLOCK, 'wall clock of the last state change, ms since 1970: for display only'),
    next: required(nullable(forecastMessage), 'what happens next if nothing else happens'),
    admin: required(oneOf(ADMIN_STATES), 'what an operator has set; never changes the state'),
    source: required(openEnum(SOURCES), 'the source of the registration; decides which checks apply'),
    registeredAt: required(WALL_CLOCK, 'wall clock, ms since 1970'),
    revision: required(REVISION, 'of its last change'),
  },
);

export const tombstoneMessage: Message<Tombstone> = message<Tombstone>(
  'Tombstone',
  'The record of a removed instance.',
  {
    id: required(ID, 'the instance'),
    revision: required(REVISION, 'of its removal; it never removes an instance of a higher revision'),
    reason: required(reasonMessage, 'why it was removed'),
  },
);

// ---- registration ---------------------------------------------------------------------------------------------------

/** An endpoint as a service announces it; a missing host means the address from which the registration comes. */
export interface AnnouncedEndpoint extends Omit<Endpoint, 'host' | 'tls'> {
  readonly host?: string;
  readonly tls?: boolean;
}

/** `POST /api/v1/register` */
export interface Registration {
  readonly id: string;
  readonly service: string;
  readonly namespace?: string;
  readonly endpoints: readonly AnnouncedEndpoint[];
  readonly version?: string;
  readonly zone?: string;
  readonly weight?: number;
  readonly metadata?: Metadata;
  readonly methods?: Methods;
  /**
   * ≥ 128 random bits, generated at process start, `^[A-Za-z0-9_-]{22,128}$`; if missing, the registry generates and
   * returns it once.
   */
  readonly secret?: string;
}

const announcedEndpointMessage = message<AnnouncedEndpoint>(
  'AnnouncedEndpoint',
  'An endpoint as a service announces it.',
  {
    protocol: required(oneOf(ENDPOINT_PROTOCOLS), 'the protocol there'),
    host: optional(HOST, 'missing: the address from which the registration comes'),
    port: required(integer(1, 65_535), 'the port'),
    tls: withDefault(flag(), false, 'whether it uses TLS'),
  },
);

export const registrationMessage: Message<Registration> = message<Registration>(
  'Registration',
  'A process of a service registers itself.',
  {
    id: required(ID, 'chosen by the process and new at each start: `<service>-<UUIDv7>`'),
    service: required(NAME, 'the name of the service'),
    namespace: withDefault(NAME, DEFAULT_NAMESPACE, 'service names are unique within a namespace'),
    endpoints: required(
      list(announcedEndpointMessage, 1, 16),
      'its addresses; the first is the primary. A protocol may occur more than once, the same endpoint may not',
    ),
    version: withDefault(VERSION, '', 'the version of its code'),
    zone: withDefault(ZONE, '', 'the zone in which it runs'),
    weight: withDefault(WEIGHT, DEFAULT_WEIGHT, 'its share of calls relative to the other instances'),
    metadata: withDefault(METADATA, Object.freeze({}), 'free words'),
    methods: optional(METHODS, 'the policies of its methods, for callers'),
    secret: optional(
      SECRET,
      'at least 128 random bits, generated at process start; missing: the registry generates it and returns it once',
    ),
  },
  checkEndpoints,
);

function checkEndpoints({ endpoints }: Registration, flaws: Flaws): void {
  const seen = new Set<string>();
  endpoints.forEach(({ protocol, host = '', port }, at) => {
    const name = `${protocol} ${addressOf({ host, port })}`;
    const since = flaws.count;
    if (seen.has(name)) flaws.note(`${name.slice(0, 60)} again`, 'each endpoint once');
    flaws.under(at, since);
    flaws.under('endpoints', since);
    seen.add(name);
  });
}

/** How the registry probes the instance, and when it expects heartbeats. */
export interface HeartbeatTerms {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly freshEvery: number;
}

export interface Registered {
  readonly instance: Instance;
  /** Present only if the registry generated it. */
  readonly secret?: string;
  readonly epoch: string;
  readonly revision: number;
  readonly heartbeat: HeartbeatTerms;
  /** Every replica of the registry, as URLs. */
  readonly registries: readonly string[];
}

const heartbeatTermsMessage = message<HeartbeatTerms>(
  'HeartbeatTerms',
  'How the registry probes the instance, and when it expects heartbeats.',
  {
    intervalMs: required(integer(10, 3_600_000), 'between two Heartbeats-2, and between two Heartbeats-1'),
    timeoutMs: required(integer(1, 3_600_000), 'how long the registry waits for the answer to Heartbeat-1'),
    freshEvery: required(
      integer(1, 1_000_000),
      'one in this many heartbeats of either direction uses a fresh connection; 1: each does',
    ),
  },
);

export const registeredMessage: Message<Registered> = message<Registered>(
  'Registered',
  'The answer to a registration.',
  {
    instance: required(instanceMessage, 'the record'),
    secret: optional(SECRET, 'only if the registry generated it'),
    epoch: required(EPOCH, 'the epoch of the registry’s history that the revision belongs to'),
    revision: required(REVISION, 'of the registry'),
    heartbeat: required(heartbeatTermsMessage, 'the terms'),
    registries: required(
      list(text({ max: 512, pattern: /^https?:\/\/[!-~]+$/, allowed: 'http(s) URL' }), 0, 64),
      'every replica of the registry',
    ),
  },
);

// ---- heartbeats -----------------------------------------------------------------------------------------------------

export const PURPOSES = ['beat', 'urgent', 'opinion'] as const;
export type Purpose = (typeof PURPOSES)[number];

/** Heartbeat-1, registry → instance. It contains the registry and the nonce that the instance quotes in its next Heartbeat-2. */
export interface HeartbeatCall {
  readonly replica: string;
  readonly instance: string;
  /** `^[A-Za-z0-9_-]{8,64}$`; one per round of probes, for all endpoints. */
  readonly nonce: string;
  readonly purpose: Purpose;
  /** Lower-case hex of HMAC-SHA256(callKey, `signedText(call)`). */
  readonly mac: string;
  /** The next Heartbeat-1 also uses this connection, so the instance leaves it open. */
  readonly keep?: boolean;
}

export const heartbeatCallMessage: Message<HeartbeatCall> = message<HeartbeatCall>(
  'HeartbeatCall',
  'Heartbeat-1, registry → instance.',
  {
    replica: required(NONCE, 'the registry that calls'),
    instance: required(ID, 'the intended instance'),
    nonce: required(
      NONCE,
      'to return in the answer and to quote in the next Heartbeat-2; one per round, for all endpoints',
    ),
    purpose: required(oneOf(PURPOSES), '`urgent`: send Heartbeat-2 at once; `opinion`: answer, and keep nothing'),
    mac: required(
      text({ max: 64, pattern: /^[0-9a-f]{64}$/, allowed: '64 lower-case hex digits' }),
      'HMAC-SHA256(callKey, `replica|instance|nonce|purpose`)',
    ),
    keep: optional(
      flag(),
      'true: leave the connection open for the next Heartbeat-1; otherwise the instance closes it first',
    ),
  },
);

/** The application's answer, with its own id. An identity check sends no nonce and gets null back. */
export interface HeartbeatAnswer {
  readonly instance: string;
  readonly nonce: string | null;
}

export const heartbeatAnswerMessage: Message<HeartbeatAnswer> = message<HeartbeatAnswer>(
  'HeartbeatAnswer',
  'The application’s answer to Heartbeat-1.',
  {
    instance: required(ID, 'the application’s own id, regardless of the id in the request'),
    nonce: withDefault(nullable(NONCE), null, 'the nonce of the request; `null` if it had none'),
  },
);

/**
 * The nonce to return for a request that may be neither authentic nor complete; null for an identity check, which has
 * none.
 */
export function nonceOf(call: unknown): string | null {
  if (typeof call !== 'object' || call === null || !('nonce' in call)) return null;
  return typeof call.nonce === 'string' && NONCE_PATTERN.test(call.nonce) ? call.nonce : null;
}

/** The Nest pattern of Heartbeat-1 over TCP, and of the identity check when a pooled connection opens. */
export const HEARTBEAT_PATTERN = 'rollcall.heartbeat-1';
/** The path of Heartbeat-1 over HTTP. */
export const HEARTBEAT_PATH = '/.well-known/rollcall/heartbeat-1';
/** `callKey` = HMAC-SHA256(key = secret as UTF-8, this text), 32 raw bytes. */
export const CALL_KEY_TEXT = 'rollcall-call';

/** The text that `mac` signs. */
export function signedText(call: Omit<HeartbeatCall, 'mac'>): string {
  return `${call.replica}|${call.instance}|${call.nonce}|${call.purpose}`;
}

// ---- the other requests of services ---------------------------------------------------------------------------------

export const SUSPICIONS = ['refused', 'closed', 'timeout', 'misdirected'] as const;

/** `POST /api/v1/instances/{id}/suspect`: a call of this caller failed. The registry probes at once and never acts on the report alone. */
export interface Suspicion {
  /** Instance id or name of the caller. */
  readonly by: string;
  readonly outcome: (typeof SUSPICIONS)[number];
}

export const suspicionMessage: Message<Suspicion> = message<Suspicion>(
  'Suspicion',
  'A caller reports that its call to an instance failed.',
  {
    by: required(
      text({ min: 1, max: 128, pattern: ONE_LINE, allowed: '1 … 128 characters, one line' }),
      'instance id or name of the caller',
    ),
    outcome: required(oneOf(SUSPICIONS), 'the outcome of the call'),
  },
);

/** `POST /api/v1/instances/{id}/drain`: 0 … 3,600,000 ms, default 30,000. */
export interface Drain {
  readonly deadlineMs?: number;
}

export const drainMessage: Message<Drain> = message<Drain>(
  'Drain',
  'The instance takes no more calls and will leave.',
  {
    deadlineMs: withDefault(integer(0, 3_600_000), DEFAULT_DRAIN_MS, 'the longest time until it has left'),
  },
);

export interface DrainAnswer {
  /** Streams that watch this service now; at 0, no caller needs time to move away. */
  readonly watchers: number;
  /** False if the registry could not store the drain, so that a restart would lose it; missing if it is stored. */
  readonly stored?: boolean;
}

export const drainAnswerMessage: Message<DrainAnswer> = message<DrainAnswer>('DrainAnswer', 'The answer to a drain.', {
  watchers: required(integer(0), 'streams that watch this service now; at 0, no caller needs time to move away'),
  stored: optional(flag(), 'false: the drain is in effect but not stored; missing: it is stored'),
});

// ---- positions ------------------------------------------------------------------------------------------------------

/** `<epoch>.<revision>`: all requested data up to this point has been sent. */
export interface Cursor {
  readonly epoch: string;
  readonly revision: number;
}

export const formatCursor = (cursor: Cursor): string => `${cursor.epoch}.${cursor.revision}`;

/** Parses a cursor; null if the text is not one. */
export function parseCursor(cursor: string): Cursor | null {
  const match = /^([0-9a-f-]{36})\.(\d{1,15})$/.exec(cursor);
  if (match?.[1] === undefined || match[2] === undefined) return null;
  return { epoch: match[1], revision: Number(match[2]) };
}
