import { flag, integer, ONE_LINE, POISONED, POISONED_WORDS, utf8Length } from '../options/kinds.js';
import type { Kind, Flaws } from '../options/schema.js';
import { isRecord, message, optional } from '../options/schema.js';

/** What is true of one method, said by who serves it, so that callers need no configuration. A caller's own wish counts before it. */
export interface MethodPolicy {
  /** Executing it twice does no more than once: callers may repeat it after a broken connection or a timeout. Default: no. */
  readonly idempotent?: boolean;
  /** The most that an answer takes, 1 … 3,600,000 ms: callers wait no longer for one attempt. */
  readonly timeoutMs?: number;
  /** May a second attempt be made beside a slow first one? Only of what is idempotent, too. Default: no. */
  readonly hedge?: boolean | HedgePolicy;
}

export interface HedgePolicy {
  /** How long the first attempt is waited for, 1 … 3,600,000 ms. Default: as long as most calls of the method take. */
  readonly afterMs?: number;
}

/**
 * Policies by the name of the method: the pattern of a Nest message (`methodNameOf`), `GET /orders` for HTTP (`routeNameOf`),
 * `Service/Method` for gRPC, without the package.
 */
export type Methods = Readonly<Record<string, MethodPolicy>>;

export const MOST_METHODS = 256;
/** In characters. */
export const LONGEST_METHOD_NAME = 256;
/** Of all names and policies of an instance as JSON. */
export const MOST_METHOD_BYTES = 8_192;
const LONGEST_MS = 3_600_000;

const hedgeMessage = message<HedgePolicy>('HedgePolicy', 'When a second attempt is made beside a slow first one.', {
  afterMs: optional(
    integer(1, LONGEST_MS),
    'how long the first attempt is waited for; missing: as long as most calls of the method take',
  ),
});

const methodPolicyMessage = message<MethodPolicy>(
  'MethodPolicy',
  'What is true of one method, said by who serves it; a caller’s own wish counts before it.',
  {
    idempotent: optional(flag(), 'does executing it twice do no more than once? Then callers may repeat it'),
    timeoutMs: optional(integer(1, LONGEST_MS), 'the most that an answer takes: one attempt is waited for no longer'),
    hedge: optional(flagOr(hedgeMessage), 'may a second attempt be made beside a slow first one?'),
  },
);

/** Policies by name; an own kind, since names may be any text and the sum of all is bounded. */
export const METHODS: Kind<Methods> = {
  allowed:
    `object of MethodPolicy by name: at most ${MOST_METHODS}, ${MOST_METHOD_BYTES} bytes of JSON in all; ` +
    `a name has 1 … ${LONGEST_METHOD_NAME} characters on one line and is not ${POISONED_WORDS}`,
  jsonSchema: {
    type: 'object',
    maxProperties: MOST_METHODS,
    additionalProperties: methodPolicyMessage.jsonSchema,
  },
  parts: methodPolicyMessage.parts,
  read(value, flaws) {
    if (!isRecord(value)) return flaws.add(value, METHODS.allowed);
    const names = Object.keys(value);
    if (names.length > MOST_METHODS) return flaws.note(`an object of ${names.length} keys`, METHODS.allowed);
    const before = flaws.count;
    const copy: Record<string, MethodPolicy> = {};
    for (const name of names) {
      if (flaws.full) break;
      const policy = readPolicy(name, value[name], flaws);
      if (policy !== undefined) copy[name] = policy;
    }
    if (flaws.count > before) return undefined;
    const bytes = sizeOfMethods(copy);
    return bytes > MOST_METHOD_BYTES ? flaws.note(`${bytes} bytes`, METHODS.allowed) : copy;
  },
};

/** May a method have this name? */
export function isMethodName(name: string): boolean {
  return name !== '' && name.length <= LONGEST_METHOD_NAME && ONE_LINE.test(name) && !POISONED.has(name);
}

/** Bytes of JSON in UTF-8. */
export function sizeOfMethods(methods: Methods): number {
  return utf8Length(JSON.stringify(methods));
}

/** What an instance says of one of its methods. A name is a stranger's word: `toString` is none unless it was said. */
export function methodPolicyOf({ methods }: { readonly methods?: Methods }, name: string): MethodPolicy | undefined {
  return methods !== undefined && Object.hasOwn(methods, name) ? methods[name] : undefined;
}

/**
 * The name of a Nest pattern, the same for whoever serves it and whoever calls it: a text as it is, an object as JSON with its keys
 * sorted at every depth (as Nest itself tells patterns apart).
 */
export function methodNameOf(pattern: unknown): string {
  if (typeof pattern === 'string') return pattern;
  return JSON.stringify(sorted(pattern)) ?? '';
}

/**
 * The name of an HTTP request, the same for whoever serves it and whoever calls it: its verb and the first segment of its path that tells
 * something, with what stands before it: `api` and versions (`v1`) are in front of everything. `path` begins with a slash and may have a
 * query.
 */
export function routeNameOf(verb: string, path: string): string {
  let start = 1;
  let end = endOfSegment(path, start);
  while (path.charCodeAt(end) === SLASH && isInFront(path.slice(start, end))) {
    start = end + 1;
    end = endOfSegment(path, start);
  }
  return `${verb} ${path.slice(0, end)}`;
}

const SLASH = 0x2f;
const QUESTION = 0x3f;

function endOfSegment(path: string, start: number): number {
  let at = start;
  while (at < path.length && path.charCodeAt(at) !== SLASH && path.charCodeAt(at) !== QUESTION) at += 1;
  return at;
}

/** Does a segment stand in front of all routes, so that it tells none from another? */
export function isInFront(segment: string): boolean {
  return segment.length <= 4 && (segment === 'api' || /^v\d+$/.test(segment));
}

function sorted(pattern: unknown): unknown {
  if (!isRecord(pattern)) return pattern;
  const entries = Object.entries(pattern).toSorted(([one], [other]) => (one < other ? -1 : 1));
  return Object.fromEntries(entries.map(([key, value]) => [key, sorted(value)]));
}

function readPolicy(name: string, value: unknown, flaws: Flaws): MethodPolicy | undefined {
  const since = flaws.count;
  if (!isMethodName(name))
    flaws.note('this name', `a name of 1 … ${LONGEST_METHOD_NAME} characters, not ${POISONED_WORDS}`);
  const policy = methodPolicyMessage.read(value, flaws);
  if (flaws.count > since) flaws.under(name, since);
  return policy;
}

/** Yes, no, or yes with more said. */
function flagOr<Value>(kind: Kind<Value>): Kind<boolean | Value> {
  const allowed = `\`true\`, \`false\`, or ${kind.allowed}`;
  return {
    allowed,
    jsonSchema: { anyOf: [{ type: 'boolean' }, kind.jsonSchema] },
    parts: kind.parts,
    read(value, flaws) {
      if (typeof value === 'boolean') return value;
      return isRecord(value) ? kind.read(value, flaws) : flaws.add(value, allowed);
    },
  };
}
