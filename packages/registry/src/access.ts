import { DEFAULT_NAMESPACE } from '@rollcall/core';
import type { Problem } from '@rollcall/core';

/** What an access token is for. */
export const ROLES = ['service', 'reader', 'operator'] as const;
export type Role = (typeof ROLES)[number];

/** What a token allows its bearer. */
export interface Grant {
  /** Names the token; no secret. */
  readonly id: string;
  readonly role: Role;
  /** Of a `service`: what it may register and speak for, as `SERVICE_PATTERN` has it. Of the others: empty. */
  readonly services: readonly string[];
}

/** What a request shows for itself, and what is known of it. */
export type Standing =
  | { readonly kind: 'none' | 'unknown' }
  | { readonly kind: 'expired' | 'revoked'; readonly grant: Grant }
  | { readonly kind: 'valid'; readonly grant: Grant };

/** Who may use a route: the bearers of tokens, the instance itself by its secret, or anyone at all. */
export type Visitor = Role | 'instance' | 'anyone';

/** One row of the permission table. */
export interface Permission {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** As the router has it: `/api/v1/instances/:id`. */
  readonly path: string;
  readonly who: readonly Visitor[];
  /** It changes something, so it is audited. */
  readonly acts: boolean;
  /** For people: what else must be true. */
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
const OF_ITSELF = 'by its secret, while the token of its registration is valid';

/**
 * Who may do what where tokens are asked for: the one table, which the rim obeys, docs/PROTOCOL.md shows and a test drives. A
 * route without a row is refused. HEAD is as GET.
 */
export const PERMISSIONS: readonly Permission[] = [
  {
    method: 'POST',
    path: '/api/v1/register',
    who: ['service'],
    acts: true,
    about: 'a service that the token names',
  },
  { method: 'POST', path: `${INSTANCE}/heartbeat`, who: ['instance'], acts: false, about: OF_ITSELF },
  {
    method: 'POST',
    path: `${INSTANCE}/suspect`,
    who: ['service'],
    acts: false,
    about: 'any instance; where `by` is an instance, one of a service that the token names',
  },
  { method: 'POST', path: `${INSTANCE}/drain`, who: ['instance'], acts: true, about: OF_ITSELF },
  { method: 'DELETE', path: INSTANCE, who: ['instance', 'operator'], acts: true, about: `the instance ${OF_ITSELF}` },
  { method: 'PATCH', path: INSTANCE, who: ['operator'], acts: true, about: '' },
  {
    method: 'GET',
    path: '/api/v1/watch',
    who: [...READERS, 'instance'],
    acts: false,
    about: `with \`instance\`: the instance ${OF_ITSELF}`,
  },
  reading('/api/v1/services'),
  reading('/api/v1/services/:name'),
  reading(INSTANCE),
  reading(`${INSTANCE}/timeline`),
  reading('/api/v1/events'),
  reading('/api/v1/topology'),
  reading('/api/v1/registry'),
  forAnyone('/health/live', 'says only that the process lives'),
  forAnyone('/health/ready', 'says only that the store is loaded'),
  forAnyone('/openapi.json', 'the same for every registry'),
];

const BY_ROUTE = new Map(PERMISSIONS.map((row) => [`${row.method} ${row.path}`, row]));

/** The row of a route; null where there is none. */
export function permissionOf(method: string, path: string): Permission | null {
  return BY_ROUTE.get(`${method === 'HEAD' ? 'GET' : method} ${path}`) ?? null;
}

/** Why a token does not open this route; null: it does. Whoever comes with an instance's secret is the engine's to judge. */
export function refusalOf({ method, path, who }: Permission, standing: Standing): Problem | null {
  if (who.includes('anyone')) return null;
  if (who.every((visitor) => visitor === 'instance') && standing.kind !== 'valid') return NO_SECRET;
  if (standing.kind !== 'valid') return unauthenticated(standing);
  const { id, role } = standing.grant;
  if (who.includes(role)) return null;
  const needed = who.filter((visitor) => visitor !== 'instance').map((visitor) => `--role ${visitor}`);
  return {
    code: 'FORBIDDEN',
    detail: `Token ${id} has the role ${role}, which may not ${method} ${path}.`,
    fix:
      needed.length === 0
        ? 'Send the secret of the instance instead, as it was registered.'
        : `Use a token made with ${needed.join(' or ')}: rollcall token create.`,
  };
}

/** 401, and what to do about it. The bearer of a token that was known is told what became of it: he has shown that it is his. */
function unauthenticated(standing: Exclude<Standing, { readonly kind: 'valid' }>): Problem {
  return { code: 'UNAUTHORIZED', detail: DETAILS[standing.kind](standing), fix: FIX };
}

const NO_SECRET: Problem = {
  code: 'UNAUTHORIZED',
  detail: 'This needs the secret of the instance.',
  fix: 'Send the secret of its registration as "Authorization: Bearer <secret>".',
};

const FIX =
  'Send a token of this registry as "Authorization: Bearer <token>" (services: ROLLCALL_TOKEN); `rollcall token create` makes one.';

const nameOf = (standing: Standing): string => ('grant' in standing ? standing.grant.id : '');

const DETAILS: Record<Exclude<Standing['kind'], 'valid'>, (standing: Standing) => string> = {
  none: () => 'This registry asks for a token, and none was sent.',
  unknown: () => 'The token is none of this registry.',
  expired: (standing) => `Token ${nameOf(standing)} has expired.`,
  revoked: (standing) => `Token ${nameOf(standing)} was revoked.`,
};

// ---- whose services -------------------------------------------------------------------------------------------------

const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';

/** `orders`, `pay-*`, `*`; in another namespace than `default`: `shop/orders`; in all of them: `*` and `/orders`. */
export const SERVICE_PATTERN: RegExp = new RegExp(
  `^(?:(?:\\*|${LABEL})/)?(?:${LABEL}|[a-z0-9][a-z0-9-]{0,61}\\*|\\*)$`,
);
export const SERVICE_PATTERN_TEXT =
  'a name, the beginning of names and *, or *; before it, where it is not the default, a namespace and /';

/** May its bearer register, and speak for, this service? */
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

/** 403: a token of another service. */
export function notYours({ id, services }: Grant, what: string): Problem {
  return {
    code: 'FORBIDDEN',
    detail: `Token ${id} is for ${services.join(', ')}; received ${what}.`,
    fix: 'Use a token of that service: rollcall token create --role service --service <name>. A namespace other than default is written <namespace>/<name>.',
  };
}
