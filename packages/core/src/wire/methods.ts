import { flag, integer, ONE_LINE, UNSAFE_KEYS, UNSAFE_KEYS_TEXT, utf8Length } from '../options/kinds.js';
import type { Kind, Flaws } from '../options/schema.js';
import { isRecord, message, optional } from '../options/schema.js';

/**
 * The policy of one method, declared by its service so that callers need no configuration. Options of the caller
 * override it.
 */
export interface MethodPolicy {
  /**
   * True if executing the method twice has the effect of once, so that callers may retry it after a broken connection or a timeout. Default
   * false.
   */
  readonly idempotent?: boolean;
  /** The longest time to an answer, 1 … 3,600,000 ms: callers wait no longer for one attempt. */
  readonly timeoutMs?: number;
  /** True if callers may send a second attempt beside a slow first one; it must also be idempotent. Default false. */
  readonly hedge?: boolean | HedgePolicy;
}

export interface HedgePolicy {
  /**
   * The wait for the first attempt before the second, 1 … 3,600,000 ms. Default: as long as most calls of the method
   * take.
   */
  readonly afterMs?: number;
}

/**
 * Policies by method name: the pattern of a Nest message (`methodNameOf`), `GET /orders` for HTTP (`routeNameOf`),
 * `Service/Method` for gRPC, without the package.
 */
export type Methods = Readonly<Record<string, MethodPolicy>>;

export const MAX_METHODS = 256;
/** The maximum length of a method name, in characters. */
export const LONGEST_METHOD_NAME = 256;
/** The maximum size of all names and policies of an instance as JSON, in bytes. */
export const MAX_METHOD_BYTES = 8_192;
const LONGEST_MS = 3_600_000;

const hedgeMessage = message<HedgePolicy>('HedgePolicy', 'When to send a second attempt beside a slow first one.', {
  afterMs: optional(
    integer(1, LONGEST_MS),
    'the wait for the first attempt before the second; missing: as long as most calls of the method take',
  ),
});

const methodPolicyMessage = message<MethodPolicy>(
  'MethodPolicy',
  'The policy of one method, declared by its service; options of the caller override it.',
  {
    idempotent: optional(flag(), 'true if executing it twice has the effect of once: callers may retry it'),
    timeoutMs: optional(
      integer(1, LONGEST_MS),
      'the longest time to an answer: callers wait no longer for one attempt',
    ),
    hedge: optional(flagOr(hedgeMessage), 'whether callers may send a second attempt beside a slow first one'),
  },
);

/** Policies by name; a kind of its own, since names may be any text and their total size is bounded. */
export const METHODS: Kind<Methods> = {
  allowed:
    `object of MethodPolicy by name: at most ${MAX_METHODS}, ${MAX_METHOD_BYTES} bytes of JSON in all; ` +
    `a name has 1 … ${LONGEST_METHOD_NAME} characters on one line and is not ${UNSAFE_KEYS_TEXT}`,
  jsonSchema: {
    type: 'object',
    maxProperties: MAX_METHODS,
    additionalProperties: methodPolicyMessage.jsonSchema,
  },
  parts: methodPolicyMessage.parts,
  read(value, flaws) {
    if (!isRecord(value)) return flaws.add(value, METHODS.allowed);
    const names = Object.keys(value);
    if (names.length > MAX_METHODS) return flaws.note(`an object of ${names.length} keys`, METHODS.allowed);
    const before = flaws.count;
    const copy: Record<string, MethodPolicy> = {};
    for (const name of names) {
      if (flaws.full) break;
      const policy = readPolicy(name, value[name], flaws);
      if (policy !== undefined) copy[name] = policy;
    }
    if (flaws.count > before) return undefined;
    const bytes = sizeOfMethods(copy);
    return bytes > MAX_METHOD_BYTES ? flaws.note(`${bytes} bytes`, METHODS.allowed) : copy;
  },
};

/** True if a method may have this name. */
export function isMethodName(name: string): boolean {
  return name !== '' && name.length <= LONGEST_METHOD_NAME && ONE_LINE.test(name) && !UNSAFE_KEYS.has(name);
}

/** The length of the value as JSON, in UTF-8 bytes. */
export function sizeOfMethods(methods: Methods): number {
  return utf8Length(JSON.stringify(methods));
}

/** The declared policy of one method. The name is untrusted: inherited properties such as `toString` do not count. */
export function methodPolicyOf({ methods }: { readonly methods?: Methods }, name: string): MethodPolicy | undefined {
  return methods !== undefined && Object.hasOwn(methods, name) ? methods[name] : undefined;
}

/**
 * The method name of a Nest pattern, the same for server and caller: a text as it is, an object as JSON with its keys
 * sorted at every depth (as Nest itself compares patterns).
 */
export function methodNameOf(pattern: unknown): string {
  if (typeof pattern === 'string') return pattern;
  return JSON.stringify(sorted(pattern)) ?? '';
}

/**
 * The method name of an HTTP request, the same for server and caller: its verb and its path up to the first significant
 * segment; `api` and versions (`v1`) are prefixes of all routes and not significant. `path` begins with a slash and may
 * have a query.
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

/** True if the segment is a prefix of all routes, so that it does not distinguish them. */
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
    flaws.note('this name', `a name of 1 … ${LONGEST_METHOD_NAME} characters, not ${UNSAFE_KEYS_TEXT}`);
  const policy = methodPolicyMessage.read(value, flaws);
  if (flaws.count > since) flaws.under(name, since);
  return policy;
}

/** `true`, `false`, or an object that means `true` with details. */
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
