import { DEFAULT_NAMESPACE } from '@rollcall/core';
import type { Problem, Role } from '@rollcall/core';

/** The rights of a token or a client certificate. */
export interface Grant {
  /** The id of the token or certificate; not a secret. */
  readonly id: string;
  readonly role: Role;
  /** The services of a `service`, as `SERVICE_PATTERN`. Empty for other roles. */
  readonly services: readonly string[];
}

/** The credentials of a request and their status. */
export type Standing =
  | { readonly kind: 'none' | 'unknown' }
  | { readonly kind: 'expired' | 'revoked'; readonly grant: Grant }
  | BadCertificate<'untrusted'>
  | BadCertificate<'nameless'>
  | { readonly kind: 'valid'; readonly grant: Grant };

/**
 * A client certificate without rights: it is not trusted (`untrusted`), or has no name that the registry knows
 * (`nameless`).
 */
export interface BadCertificate<Kind extends 'untrusted' | 'nameless' = 'untrusted' | 'nameless'> {
  readonly kind: Kind;
  readonly id: string;
  readonly detail: string;
  readonly fix: string;
}

/** The prefix of the ids of client certificates; ids of tokens do not have it. */
export const CERTIFICATE_ID = 'cert:';

/** True for the id of a client certificate, false for that of a token. */
export function isCertificateId(id: string): boolean {
  return id.startsWith(CERTIFICATE_ID);
}

/** The credentials that a registry accepts; one of them is enough. */
export interface RequiredCredentials {
  readonly tokens: boolean;
  readonly certificates: boolean;
}

/** The clients of a route: holders of tokens or certificates by role, the instance itself by its secret, or anyone. */
export type Visitor = Role | 'instance' | 'anyone';

/** A row of the permission table. */
export interface Permission {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** The path of the route: `/api/v1/instances/:id`. */
  readonly path: string;
  readonly who: readonly Visitor[];
  /** True if it changes something, so it is audited. */
  readonly acts: boolean;
  /** Further conditions, as text for the documentation. */
  readonly about: string;
}

const READERS: readonly Visitor[] = ['service', 'reader', 'operator'];

function reading(path: string, about = ''): Permission {
  return { method: 'GET', path, who: READERS, acts: false, about };
}

function forAnyone(path: string, about: string): Permission {
  return { method: 'GET', path, who: ['anyone'], acts: false, about };
}

const INSTANCE = '/api/v1/instances/:id';
const BY_INSTANCE =
  'by its secret, while the token of its registration is valid, or with a certificate for its service';

/**
 * The permissions if tokens or certificates are required: the only table, which the HTTP layer enforces,
 * docs/PROTOCOL.md shows and a test checks. A route without a row is refused. HEAD is treated as GET.
 */
export const PERMISSIONS: readonly Permission[] = [
  {
    method: 'POST',
    path: '/api/v1/register',
    who: ['service'],
    acts: true,
    about: 'a service that the token or certificate names',
  },
  { method: 'POST', path: `${INSTANCE}/heartbeat`, who: ['instance'], acts: false, about: BY_INSTANCE },
  {
    method: 'POST',
    path: `${INSTANCE}/suspect`,
    who: ['service'],
    acts: false,
    about: 'any instance; if `by` is an instance, one of a service that the token or certificate names',
  },
  { method: 'POST', path: `${INSTANCE}/drain`, who: ['instance'], acts: true, about: BY_INSTANCE },
  { method: 'DELETE', path: INSTANCE, who: ['instance', 'operator'], acts: true, about: `the instance ${BY_INSTANCE}` },
  { method: 'PATCH', path: INSTANCE, who: ['operator'], acts: true, about: '' },
  { method: 'POST', path: `${INSTANCE}/call`, who: ['operator'], acts: true, about: '' },
  {
    method: 'GET',
    path: '/api/v1/watch',
    who: [...READERS, 'instance'],
    acts: false,
    about: `with \`instance\`: the instance ${BY_INSTANCE}; it reads there whatever its service may read`,
  },
  reading('/api/v1/services'),
  reading('/api/v1/services/:name'),
  reading('/api/v1/instances'),
  reading(INSTANCE),
  reading(`${INSTANCE}/timeline`),
  reading(`${INSTANCE}/beats`),
  reading('/api/v1/events'),
  reading('/api/v1/topology'),
  reading('/api/v1/traffic'),
  reading('/api/v1/registry'),
  reading('/metrics'),
  reading('/sd/prometheus'),
  forAnyone('/health/live', 'reports only that the process is alive'),
  forAnyone('/health/ready', 'reports only that the store is loaded'),
  forAnyone('/openapi.json', 'the same for every registry'),
  forAnyone('/', 'the page of the dashboard, which contains no data'),
  forAnyone('/assets/*', 'the files of the dashboard'),
];

const BY_ROUTE = new Map(PERMISSIONS.map((row) => [`${row.method} ${row.path}`, row]));

/** The row of a route; null if there is none. */
export function permissionOf(method: string, path: string): Permission | null {
  return BY_ROUTE.get(`${method === 'HEAD' ? 'GET' : method} ${path}`) ?? null;
}

/**
 * The refusal if these credentials do not permit a route of a registry that requires `required`; null: they do. The
 * secret of an instance is checked by the engine.
 */
export function refusalOf(
  { method, path, who }: Permission,
  standing: Standing,
  required: RequiredCredentials,
): Problem | null {
  if (who.includes('anyone')) return null;
  if (standing.kind === 'untrusted' || standing.kind === 'nameless') return badCertificate(standing);
  if (who.every((visitor) => visitor === 'instance') && standing.kind !== 'valid') return NO_SECRET;
  if (standing.kind !== 'valid') return unauthenticated(standing, required);
  const { id, role } = standing.grant;
  if (who.includes(role)) return null;
  const needed = who.filter((visitor) => visitor !== 'instance');
  return {
    code: 'FORBIDDEN',
    detail: `${nameOf(id)} has the role ${role}, which may not ${method} ${path}.`,
    fix: needed.length === 0 ? 'Send the secret of the instance instead, as it was registered.' : otherFix(id, needed),
  };
}

function otherFix(id: string, roles: readonly Visitor[]): string {
  if (!isCertificateId(id))
    return `Use a token made with ${roles.map((role) => `--role ${role}`).join(' or ')}: rollcall token create.`;
  const uris = roles.map((role) => (role === 'service' ? 'URI:rollcall:service:<name>' : `URI:rollcall:${role}`));
  return `Use a certificate whose subject alternative names have ${uris.join(' or ')}.`;
}

/** The subject of the sentences of refusals. */
export const nameOf = (id: string): string => (isCertificateId(id) ? `Certificate ${id}` : `Token ${id}`);

function badCertificate({ kind, detail, fix }: BadCertificate): Problem {
  return { code: kind === 'untrusted' ? 'CERTIFICATE_UNTRUSTED' : 'FORBIDDEN', detail, fix };
}

type Unauthenticated = Exclude<Standing, { readonly kind: 'untrusted' | 'nameless' | 'valid' }>;

/** A 401 with a fix. The holder of a known token learns its status, as it has proved that the token is its own. */
function unauthenticated(standing: Unauthenticated, required: RequiredCredentials): Problem {
  const fix = [...(required.tokens ? [TOKEN_FIX] : []), ...(required.certificates ? [CERTIFICATE_FIX] : [])].join(
    ' Or: ',
  );
  return { code: 'UNAUTHORIZED', detail: detailOf(standing, required), fix };
}

function detailOf(standing: Unauthenticated, { tokens, certificates }: RequiredCredentials): string {
  if (standing.kind === 'unknown') return 'This registry does not know the token.';
  if (standing.kind === 'expired') return `Token ${standing.grant.id} has expired.`;
  if (standing.kind === 'revoked') return `Token ${standing.grant.id} was revoked.`;
  if (!certificates) return 'This registry requires a token, and none was sent.';
  const what = tokens ? 'a client certificate or a token, and neither' : 'a client certificate, and none';
  return `This registry requires ${what} was sent.`;
}

const NO_SECRET: Problem = {
  code: 'UNAUTHORIZED',
  detail: 'This request needs the secret of the instance.',
  fix: 'Send the secret of its registration as "Authorization: Bearer <secret>".',
};

const TOKEN_FIX =
  'Send a token of this registry as "Authorization: Bearer <token>" (services: ROLLCALL_TOKEN); `rollcall token create` makes one.';
const CERTIFICATE_FIX =
  'Connect with a client certificate that a CA of the registry has signed (services: ROLLCALL_CERT_FILE and ROLLCALL_KEY_FILE).';

// ---- service patterns -----------------------------------------------------------------------------------------------

const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';

/** `orders`, `pay-*`, `*`; in another namespace than `default`: `shop/orders`; in all of them: `*` and `/orders`. */
export const SERVICE_PATTERN: RegExp = new RegExp(
  `^(?:(?:\\*|${LABEL})/)?(?:${LABEL}|[a-z0-9][a-z0-9-]{0,61}\\*|\\*)$`,
);
export const SERVICE_PATTERN_TEXT =
  'a service name, a prefix followed by *, or *; preceded by a namespace and / unless the namespace is default';

/** True if a client with this grant may register this service and act for it. */
export function mayServe({ role, services }: Grant, namespace: string, service: string): boolean {
  return role === 'service' && services.some((pattern) => fits(pattern, namespace, service));
}

function fits(pattern: string, namespace: string, service: string): boolean {
  const slash = pattern.indexOf('/');
  const where = slash === -1 ? DEFAULT_NAMESPACE : pattern.slice(0, slash);
  const what = pattern.slice(slash + 1);
  if (where !== '*' && where !== namespace) return false;
  return what.endsWith('*') ? service.startsWith(what.slice(0, -1)) : service === what;
}

/** A 403 for a token or certificate of another service. */
export function notOwnService({ id, services }: Grant, what: string): Problem {
  return {
    code: 'FORBIDDEN',
    detail: `${nameOf(id)} is for ${services.join(', ')}; received ${what}.`,
    fix: `${
      isCertificateId(id)
        ? 'Use a certificate of that service: its subject alternative names have URI:rollcall:service:<name>.'
        : 'Use a token of that service: rollcall token create --role service --service <name>.'
    } A namespace other than default is written <namespace>/<name>.`,
  };
}
