import { DEFAULT_NAMESPACE, isRecord, PROBLEMS } from '@rollcall/core';
import type { Log, Problem, Registration, Suspicion, Time } from '@rollcall/core';
import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestHookHandler, RouteOptions } from 'fastify';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { Audit, whoText } from '../../access/audit.js';
import { isCertificateId, mayServe, notYours, permissionOf, refusalOf } from '../../access/permissions.js';
import type { Asked, Grant, Permission, Standing } from '../../access/permissions.js';
import type { Tokens } from '../../access/token-file.js';
import { isToken } from '../../access/tokens.js';
import type { Ender, Operator, Peer, Proof, RegistryApi, Watcher } from '../../registry-api.js';
import { problemDocument, problemHeaders, sendProblem } from '../exchange/problem.js';
import { bearerOf, isOperator, listOf, peerOf, secretOf } from '../exchange/request.js';
import type { Clients, ShownCertificate } from './tls.js';

export type Holder = Pick<IncomingMessage, 'headers' | 'socket'>;

/** As whom a request comes in: what the handlers ask. */
export interface Authorization {
  peerOf(request: FastifyRequest): Peer;
  /** What it shows where an instance has to prove itself. */
  proofOf(request: Holder): Proof;
  /** Null: whoever sent it is no operator. */
  operatorOf(request: FastifyRequest): Operator;
  /** As whom it comes, for people; null where nothing is asked for. */
  visitorOf(request: FastifyRequest): Pick<Grant, 'role' | 'id'> | null;
  /** As whom it ends an instance. */
  enderOf(request: FastifyRequest): Ender | null;
  /** Why it may not register this; null: it may. */
  registrationRefusal(request: FastifyRequest, registration: Registration): Problem | null;
  /** Why it may not speak so of another instance; null: it may. */
  suspicionRefusal(request: FastifyRequest, suspicion: Suspicion): Problem | null;
  /**
   * `end` is called when the token or certificate by which a stream was opened is no longer valid: of a line, that of the registration of
   * its instance, or the certificate of this connection; else the request's own. Call the result when the stream is over.
   */
  hold(request: FastifyRequest, stream: Pick<Watcher, 'token'>, end: () => void): () => void;
  /** Why what opened the route to this request would open it no more; null: it would. */
  refusalOf(request: FastifyRequest): Problem | null;
}

/** Where nothing is asked for: whoever reaches the port may do everything but what is an operator's, see `isOperator`. */
export const OPEN_ENTRANCE: Authorization = {
  peerOf,
  proofOf: secretOf,
  operatorOf: (request) => (isOperator(request) ? { operator: true } : null),
  visitorOf: () => null,
  enderOf(request) {
    const secret = secretOf(request);
    return secret === null ? this.operatorOf(request) : { secret };
  },
  registrationRefusal: () => null,
  suspicionRefusal: () => null,
  hold: () => nothing,
  refusalOf: () => null,
};

function nothing(): void {}

/** What it needs of the server around it. */
export interface TokenEntranceParts {
  /** Null: none are asked for. */
  readonly tokens: Pick<Tokens, 'find' | 'isValid' | 'onChange'> | null;
  /** Who shows which certificate. Null, or left out: nobody is asked for one. */
  readonly clients?: Clients | null;
  readonly registry: Pick<RegistryApi, 'instance'>;
  readonly log: Log;
  readonly time: Time;
}

const NO_ROW: Problem = {
  code: 'FORBIDDEN',
  detail: 'Nobody was given the right to use this route.',
  fix: 'Report it: the permission table (packages/registry/src/access/permissions.ts) lacks a row.',
};

/**
 * Where tokens or certificates are asked for: each route that is added after `install` is opened only to those whom its row of the
 * permission table names. A token that is sent counts, else the certificate of the connection; one that is not trusted opens nothing,
 * whatever else comes with it. Instances come with their secret, which the engine judges. What acts, and what is refused, is told in the log. A source that
 * fails too often is told to wait.
 */
export class TokenEntrance implements Authorization {
  readonly #parts: TokenEntranceParts;
  readonly #asked: Asked;
  readonly #audit: Audit;
  readonly #standings = new WeakMap<FastifyRequest, Standing>();
  /** Those that came as far as a route: the guard has let them pass. */
  readonly #judged = new WeakSet<FastifyRequest>();
  /** Those with a wrong token or secret, or none, whatever they are answered. */
  readonly #failures = new WeakSet<FastifyRequest>();
  /** How to end each stream, and whether it may go on. */
  readonly #streams = new Map<() => void, () => boolean>();
  readonly #routes: string[] = [];
  #isComplete = false;

  constructor(parts: TokenEntranceParts) {
    const { tokens, clients = null } = parts;
    this.#parts = parts;
    this.#asked = { tokens: tokens !== null, certificates: clients !== null };
    this.#audit = new Audit(parts);
    tokens?.onChange(() => this.#endStreams());
    clients?.onDistrust(() => this.#endStreams());
  }

  /** Method and path of each route that it guards. */
  get routes(): readonly string[] {
    return this.#routes;
  }

  install(app: FastifyInstance): void {
    app.addHook('onRoute', (route) => {
      if (!this.#isComplete) this.#guard(route);
    });
    app.addHook('preSerialization', (request, reply, payload, done) =>
      done(null, this.#slowed(request, reply, payload)),
    );
    // not when it was received: who does something and goes would do it untold
    app.addHook('onSend', (request, reply, payload, done) => {
      this.#tell(request, reply.statusCode);
      done(null, payload);
    });
  }

  /** What is added from now on only says that there is nothing there. */
  complete(): void {
    this.#isComplete = true;
  }

  /** Is it for Fastify to answer this beat, since it shows nothing that could be an instance's secret? */
  isUnusual(request: Holder): boolean {
    const bearer = bearerOf(request);
    return bearer === null || isToken(bearer) || this.#shownBy(request)?.standing.kind === 'untrusted';
  }

  /** A connection that ended before it was one: told, where somebody has to mend something. */
  handshakeFailed(socket: Socket, error: NodeJS.ErrnoException): void {
    const why = error.code ?? '';
    if (!why.startsWith('ERR_SSL_')) return;
    const about = why === 'ERR_SSL_HTTP_REQUEST' ? 'plain HTTP: the URL must begin with https://' : why;
    this.#audit.refused({ who: 'nobody', from: peerOf({ socket }).address, what: 'TLS', about, status: 'closed' });
  }

  /** What a beat that was refused is answered, which came past Fastify. */
  beatRefusal(address: string, what: string, problem: Problem): Problem {
    const { status } = problemDocument(problem);
    if (status !== 401) return problem;
    const waitMs = problem.code === 'UNAUTHORIZED' ? this.#audit.failed(address) : 0;
    if (waitMs > 0) {
      this.#audit.slowed();
      return tooManyFailures(waitMs);
    }
    this.#audit.refused({ who: 'a secret', from: address, what, about: problem.code, status });
    return problem;
  }

  peerOf(request: FastifyRequest): Peer {
    const standing = this.#standings.get(request);
    return standing?.kind === 'valid' ? { ...peerOf(request), token: standing.grant.id } : peerOf(request);
  }

  proofOf(request: Holder): Proof {
    const secret = secretOf(request);
    const standing = this.#shownBy(request)?.standing;
    return standing?.kind === 'valid' ? { secret, grant: standing.grant } : secret;
  }

  operatorOf(request: FastifyRequest): Operator {
    const standing = this.#standings.get(request);
    if (standing?.kind !== 'valid' || standing.grant.role !== 'operator') return null;
    return { operator: true, who: `${whoText(standing)} from ${peerOf(request).address}` };
  }

  visitorOf(request: FastifyRequest): Pick<Grant, 'role' | 'id'> | null {
    const standing = this.#standings.get(request);
    return standing?.kind === 'valid' ? { role: standing.grant.role, id: standing.grant.id } : null;
  }

  enderOf(request: FastifyRequest): Ender | null {
    const operator = this.operatorOf(request);
    if (operator !== null) return operator;
    return secretOf(request) === null ? null : { secret: this.proofOf(request) };
  }

  registrationRefusal(
    request: FastifyRequest,
    { namespace = DEFAULT_NAMESPACE, service }: Registration,
  ): Problem | null {
    return this.#scopeRefusal(request, namespace, service);
  }

  /** Who is not registered speaks for itself alone: the registry believes no report anyway. */
  suspicionRefusal(request: FastifyRequest, { by }: Suspicion): Problem | null {
    const reporter = this.#parts.registry.instance(by);
    return reporter.ok ? this.#scopeRefusal(request, reporter.value.namespace, reporter.value.service) : null;
  }

  hold(request: FastifyRequest, stream: Pick<Watcher, 'token'>, end: () => void): () => void {
    const standing = this.#standings.get(request);
    const own = standing?.kind === 'valid' ? standing.grant.id : null;
    const isGood = (id: string | null): boolean => this.#parts.tokens?.isValid(id) === true;
    const isOwn = (): boolean => (own !== null && isCertificateId(own) ? this.#isShown(request) : isGood(own));
    const isFit = stream.token !== undefined && this.#fitsLine(request);
    // an instance may register again, with another one
    const isOfLine = (): boolean => isGood(stream.token ?? null) || (isFit && this.#isShown(request));
    const isFounded = stream.token === undefined ? isOwn : isOfLine;
    // its end is ours, before its connection is cut: else it would be news of the peer
    const isRetired = (): boolean => this.#parts.clients?.isRetired(request.socket) === true;
    this.#streams.set(end, () => !isRetired() && isFounded());
    return () => void this.#streams.delete(end);
  }

  refusalOf(request: FastifyRequest): Problem | null {
    const permission = permissionOf(request.method, request.routeOptions.url ?? '');
    return permission === null ? NO_ROW : this.#check(request, permission);
  }

  #endStreams(): void {
    for (const [end, mayGoOn] of this.#streams) {
      if (mayGoOn()) continue;
      this.#streams.delete(end);
      end();
    }
  }

  #shownBy({ socket }: Pick<Holder, 'socket'>): ShownCertificate | null {
    return this.#parts.clients?.shownBy(socket) ?? null;
  }

  #isShown(request: FastifyRequest): boolean {
    return this.#shownBy(request)?.standing.kind === 'valid';
  }

  /** Is the certificate of this connection for the service of the instance whose line it asks for? */
  #fitsLine(request: FastifyRequest): boolean {
    const standing = this.#shownBy(request)?.standing;
    if (standing?.kind !== 'valid') return false;
    const instance = this.#parts.registry.instance(listOf(request, 'instance')[0] ?? '');
    if (!instance.ok) return false;
    return mayServe(standing.grant, instance.value.namespace, instance.value.service);
  }

  #scopeRefusal(request: FastifyRequest, namespace: string, service: string): Problem | null {
    const standing = this.#standings.get(request);
    if (standing?.kind !== 'valid') return NO_ROW;
    const name = namespace === DEFAULT_NAMESPACE ? service : `${namespace}/${service}`;
    return mayServe(standing.grant, namespace, service) ? null : notYours(standing.grant, name);
  }

  #guard(route: RouteOptions): void {
    const { url, onRequest = [], preHandler = [] } = route;
    const methods = [route.method].flat();
    for (const method of methods) this.#routes.push(`${method} ${url}`);
    const check: onRequestHookHandler = (request, reply, next) => {
      this.#judged.add(request);
      const problem = this.refusalOf(request);
      if (problem === null) next();
      else sendProblem(reply, problem);
    };
    route.onRequest = [check, onRequest].flat();
    // what opened the route may be worth nothing by the time the body is there
    if (methods.some((method) => method !== 'GET' && method !== 'HEAD')) route.preHandler = [check, preHandler].flat();
  }

  #check(request: FastifyRequest, permission: Permission): Problem | null {
    const bearer = bearerOf(request);
    const shown = this.#shownBy(request)?.standing ?? null;
    const isOfInstance = permission.who.includes('instance') && namesInstance(request);
    if (isOfInstance && bearer !== null && !isToken(bearer) && shown?.kind !== 'untrusted') return null;
    const standing = this.#standingOf(bearer, shown);
    this.#standings.set(request, standing);
    return refusalOf(permission, standing, this.#asked);
  }

  #standingOf(bearer: string | null, shown: ShownCertificate['standing'] | null): Standing {
    const { tokens } = this.#parts;
    if (shown?.kind === 'untrusted') return shown;
    const isSent = tokens !== null && bearer !== null && (shown === null || isToken(bearer));
    return isSent ? tokens.find(bearer) : (shown ?? { kind: 'none' });
  }

  /** What is sent: instead of one failure too many, that there were too many. */
  #slowed(request: FastifyRequest, reply: FastifyReply, payload: unknown): unknown {
    const code = isRecord(payload) && reply.statusCode >= 400 ? payload['code'] : null;
    if (code !== 'UNAUTHORIZED' && code !== 'ID_HELD') return payload;
    this.#failures.add(request);
    const waitMs = this.#audit.failed(peerOf(request).address);
    if (waitMs === 0) return payload;
    const problem = tooManyFailures(waitMs);
    reply.removeHeader('www-authenticate').code(429).headers(problemHeaders(problem));
    return problemDocument(problem);
  }

  #tell(request: FastifyRequest, status: number): void {
    const { method, url, routeOptions } = request;
    const permission = permissionOf(method, routeOptions.url ?? '');
    const isRefusal = REFUSALS.has(status) || this.#failures.has(request);
    const isDeed = permission?.acts === true && status < 300;
    if (!isRefusal && !isDeed) return;
    const deed = {
      who: this.#whoOf(request, isDeed),
      from: peerOf(request).address,
      what: `${method} ${url.split('?', 1)[0] ?? ''}`,
      about: this.#judged.has(request)
        ? aboutOf(request, isDeed)
        : `(${status === 421 ? 'foreign name' : 'foreign web page'})`,
      status,
    };
    if (isDeed) this.#audit.acted(deed);
    else if (status === 429) this.#audit.slowed();
    else this.#audit.refused(deed);
  }

  #whoOf(request: FastifyRequest, isDeed: boolean): string {
    const standing = this.#standings.get(request);
    if (standing !== undefined) return whoText(standing);
    if (isDeed) return 'the instance itself';
    const bearer = bearerOf(request);
    if (bearer !== null && !isToken(bearer)) return 'a secret';
    return whoText(this.#standingOf(bearer, this.#shownBy(request)?.standing ?? null));
  }
}

/** Not let in; `MISDIRECTED` came by a name that is not ours. */
const REFUSALS: ReadonlySet<number> = new Set([401, 403, PROBLEMS.MISDIRECTED]);

function namesInstance(request: FastifyRequest): boolean {
  const { params } = request;
  const isInPath = typeof params === 'object' && params !== null && 'id' in params;
  return isInPath || listOf(request, 'instance').length > 0;
}

function tooManyFailures(waitMs: number): Problem {
  return {
    code: 'TOO_MANY',
    detail: 'Too many requests from this address had a wrong token or secret, or none.',
    fix: 'Correct it (tokens of services: ROLLCALL_TOKEN), then try again; requests with a good one are answered all the time.',
    retryAfterMs: waitMs,
  };
}

const ABOUT = ['id', 'service', 'namespace', 'admin', 'weight', 'untilMs', 'deadlineMs', 'reason'];

/**
 * What an audit needs and what is no secret: who it is about, what is wanted, and the reason. Of a query only that, and only when it was
 * done: what strangers put there may be anything.
 */
export function aboutOf({ query, body }: FastifyRequest, isDeed: boolean): string {
  return [...(isDeed ? wordsIn(query, ['reason']) : []), ...wordsIn(body, ABOUT)].join(' ');
}

function wordsIn(said: unknown, keys: readonly string[]): readonly string[] {
  if (!isRecord(said)) return [];
  return keys.flatMap((key) => {
    const value = said[key];
    return typeof value === 'string' || typeof value === 'number' ? [`${key}=${value}`] : [];
  });
}
