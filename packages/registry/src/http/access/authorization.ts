import { DEFAULT_NAMESPACE, isRecord, PROBLEMS } from '@rollcall/core';
import type { Log, Problem, Registration, Suspicion, Time } from '@rollcall/core';
import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestHookHandler, RouteOptions } from 'fastify';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { Audit, actorText } from '../../access/audit.js';
import { isCertificateId, mayServe, notOwnService, permissionOf, refusalOf } from '../../access/permissions.js';
import type { RequiredCredentials, Grant, Permission, Standing } from '../../access/permissions.js';
import type { Tokens } from '../../access/token-file.js';
import { isToken } from '../../access/tokens.js';
import type { Ender, Operator, Peer, Proof, RegistryApi, Watcher } from '../../registry-api.js';
import { problemDocument, problemHeaders, sendProblem } from '../exchange/problem.js';
import { bearerOf, isOperator, listOf, peerOf, secretOf } from '../exchange/request.js';
import type { Clients, ShownCertificate } from './tls.js';

export type Holder = Pick<IncomingMessage, 'headers' | 'socket'>;

/** The identity of a request, for its handlers. */
export interface Authorization {
  peerOf(request: FastifyRequest): Peer;
  /** The credentials by which an instance proves itself. */
  proofOf(request: Holder): Proof;
  /** Null: the sender is not an operator. */
  operatorOf(request: FastifyRequest): Operator;
  /** The role and id of the sender for display; null if no credentials are required. */
  visitorOf(request: FastifyRequest): Pick<Grant, 'role' | 'id'> | null;
  /** The identity that ends an instance; null: none. */
  enderOf(request: FastifyRequest): Ender | null;
  /** The refusal to register this instance; null: it may. */
  registrationRefusal(request: FastifyRequest, registration: Registration): Problem | null;
  /** The refusal to report another instance; null: it may. */
  suspicionRefusal(request: FastifyRequest, suspicion: Suspicion): Problem | null;
  /**
   * Calls `end` when the token or certificate behind a stream becomes invalid: for a line, that of the registration of
   * its instance or the certificate of this connection; otherwise that of the request. Call the returned function when
   * the stream has ended.
   */
  track(request: FastifyRequest, stream: Pick<Watcher, 'token'>, end: () => void): () => void;
  /** The refusal if the credentials of this request are not sufficient any more; null: they are. */
  refusalOf(request: FastifyRequest): Problem | null;
}

/**
 * Authorization without tokens and certificates: every client that reaches the port may do everything except operator
 * actions, see `isOperator`.
 */
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
  track: () => nothing,
  refusalOf: () => null,
};

function nothing(): void {}

/** The parts of the server that the authorization needs. */
export interface TokenEntranceParts {
  /** Null: tokens are not required. */
  readonly tokens: Pick<Tokens, 'find' | 'isValid' | 'onChange'> | null;
  /** The client certificates. Null or omitted: clients are not asked for one. */
  readonly clients?: Clients | null;
  readonly registry: Pick<RegistryApi, 'instance'>;
  readonly log: Log;
  readonly time: Time;
}

const NO_PERMISSION: Problem = {
  code: 'FORBIDDEN',
  detail: 'No role has the right to use this route.',
  fix: 'Report it: the permission table (packages/registry/src/access/permissions.ts) lacks a row.',
};

/**
 * Authorization by tokens or certificates: each route added after `install` is open only to the roles in its row of the
 * permission table. A token that is sent counts, else the certificate of the connection; an untrusted certificate opens
 * nothing, whatever else is sent. Instances use their secret, which the engine checks. Actions and refusals are logged.
 * A source that fails too often has to wait.
 */
export class TokenEntrance implements Authorization {
  readonly #parts: TokenEntranceParts;
  readonly #required: RequiredCredentials;
  readonly #audit: Audit;
  readonly #standings = new WeakMap<FastifyRequest, Standing>();
  /** Requests that reached a route, so that the guard let them pass. */
  readonly #passedGuard = new WeakSet<FastifyRequest>();
  /** Requests with a wrong or missing token or secret, regardless of the answer. */
  readonly #failures = new WeakSet<FastifyRequest>();
  /** The functions that end each stream, and that check whether it may continue. */
  readonly #streams = new Map<() => void, () => boolean>();
  readonly #routes: string[] = [];
  #isComplete = false;

  constructor(parts: TokenEntranceParts) {
    const { tokens, clients = null } = parts;
    this.#parts = parts;
    this.#required = { tokens: tokens !== null, certificates: clients !== null };
    this.#audit = new Audit(parts);
    tokens?.onChange(() => this.#endStreams());
    clients?.onDistrust(() => this.#endStreams());
  }

  /** Method and path of each guarded route. */
  get routes(): readonly string[] {
    return this.#routes;
  }

  install(app: FastifyInstance): void {
    app.addHook('onRoute', (route) => {
      if (!this.#isComplete) this.#guard(route);
    });
    app.addHook('preSerialization', (request, reply, payload, done) =>
      done(null, this.#throttle(request, reply, payload)),
    );
    // not `onResponse`: it would miss the action of a client that disconnects early
    app.addHook('onSend', (request, reply, payload, done) => {
      this.#record(request, reply.statusCode);
      done(null, payload);
    });
  }

  /** Call it once all routes are added: routes added later only answer that no such route exists. */
  complete(): void {
    this.#isComplete = true;
  }

  /** True if Fastify has to answer this heartbeat, as it shows nothing that could be the secret of an instance. */
  isUnusual(request: Holder): boolean {
    const bearer = bearerOf(request);
    return bearer === null || isToken(bearer) || this.#shownBy(request)?.standing.kind === 'untrusted';
  }

  /** A TLS handshake failed: logged if an administrator has something to fix. */
  handshakeFailed(socket: Socket, error: NodeJS.ErrnoException): void {
    const why = error.code ?? '';
    if (!why.startsWith('ERR_SSL_')) return;
    const about = why === 'ERR_SSL_HTTP_REQUEST' ? 'plain HTTP: the URL must begin with https://' : why;
    this.#audit.refused({ who: 'anonymous', from: peerOf({ socket }).address, what: 'TLS', about, status: 'closed' });
  }

  /** The problem for a refused heartbeat that bypassed Fastify. */
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
    return { operator: true, who: `${actorText(standing)} from ${peerOf(request).address}` };
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

  /** A reporter that is not registered is not checked: a report only makes the registry check the instance itself. */
  suspicionRefusal(request: FastifyRequest, { by }: Suspicion): Problem | null {
    const reporter = this.#parts.registry.instance(by);
    return reporter.ok ? this.#scopeRefusal(request, reporter.value.namespace, reporter.value.service) : null;
  }

  track(request: FastifyRequest, stream: Pick<Watcher, 'token'>, end: () => void): () => void {
    const standing = this.#standings.get(request);
    const own = standing?.kind === 'valid' ? standing.grant.id : null;
    const isValid = (id: string | null): boolean => this.#parts.tokens?.isValid(id) === true;
    const isOwn = (): boolean => (own !== null && isCertificateId(own) ? this.#isShown(request) : isValid(own));
    const fitsLine = stream.token !== undefined && this.#fitsLine(request);
    // an instance may register again, with another token
    const isOfLine = (): boolean => isValid(stream.token ?? null) || (fitsLine && this.#isShown(request));
    const isAuthorized = stream.token === undefined ? isOwn : isOfLine;
    // ended by the registry before its connection is cut, or it would count as a loss of the peer
    const isRetired = (): boolean => this.#parts.clients?.isRetired(request.socket) === true;
    this.#streams.set(end, () => !isRetired() && isAuthorized());
    return () => void this.#streams.delete(end);
  }

  refusalOf(request: FastifyRequest): Problem | null {
    const permission = permissionOf(request.method, request.routeOptions.url ?? '');
    return permission === null ? NO_PERMISSION : this.#check(request, permission);
  }

  #endStreams(): void {
    for (const [end, mayContinue] of this.#streams) {
      if (mayContinue()) continue;
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

  /** True if the certificate of this connection covers the service of the instance whose line is requested. */
  #fitsLine(request: FastifyRequest): boolean {
    const standing = this.#shownBy(request)?.standing;
    if (standing?.kind !== 'valid') return false;
    const instance = this.#parts.registry.instance(listOf(request, 'instance')[0] ?? '');
    if (!instance.ok) return false;
    return mayServe(standing.grant, instance.value.namespace, instance.value.service);
  }

  #scopeRefusal(request: FastifyRequest, namespace: string, service: string): Problem | null {
    const standing = this.#standings.get(request);
    if (standing?.kind !== 'valid') return NO_PERMISSION;
    const name = namespace === DEFAULT_NAMESPACE ? service : `${namespace}/${service}`;
    return mayServe(standing.grant, namespace, service) ? null : notOwnService(standing.grant, name);
  }

  #guard(route: RouteOptions): void {
    const { url, onRequest = [], preHandler = [] } = route;
    const methods = [route.method].flat();
    for (const method of methods) this.#routes.push(`${method} ${url}`);
    const check: onRequestHookHandler = (request, reply, next) => {
      this.#passedGuard.add(request);
      const problem = this.refusalOf(request);
      if (problem === null) next();
      else sendProblem(reply, problem);
    };
    route.onRequest = [check, onRequest].flat();
    // the credentials may have become invalid by the time the body has arrived
    if (methods.some((method) => method !== 'GET' && method !== 'HEAD')) route.preHandler = [check, preHandler].flat();
  }

  #check(request: FastifyRequest, permission: Permission): Problem | null {
    const bearer = bearerOf(request);
    const shown = this.#shownBy(request)?.standing ?? null;
    const isOfInstance = permission.who.includes('instance') && namesInstance(request);
    if (isOfInstance && bearer !== null && !isToken(bearer) && shown?.kind !== 'untrusted') return null;
    const standing = this.#standingOf(bearer, shown);
    this.#standings.set(request, standing);
    return refusalOf(permission, standing, this.#required);
  }

  #standingOf(bearer: string | null, shown: ShownCertificate['standing'] | null): Standing {
    const { tokens } = this.#parts;
    if (shown?.kind === 'untrusted') return shown;
    const isSent = tokens !== null && bearer !== null && (shown === null || isToken(bearer));
    return isSent ? tokens.find(bearer) : (shown ?? { kind: 'none' });
  }

  /** Replaces the answer to one failure too many by the refusal for too many failures. */
  #throttle(request: FastifyRequest, reply: FastifyReply, payload: unknown): unknown {
    const code = isRecord(payload) && reply.statusCode >= 400 ? payload['code'] : null;
    if (code !== 'UNAUTHORIZED' && code !== 'ID_HELD') return payload;
    this.#failures.add(request);
    const waitMs = this.#audit.failed(peerOf(request).address);
    if (waitMs === 0) return payload;
    const problem = tooManyFailures(waitMs);
    reply.removeHeader('www-authenticate').code(429).headers(problemHeaders(problem));
    return problemDocument(problem);
  }

  #record(request: FastifyRequest, status: number): void {
    const { method, url, routeOptions } = request;
    const permission = permissionOf(method, routeOptions.url ?? '');
    const isRefusal = REFUSALS.has(status) || this.#failures.has(request);
    const isAction = permission?.acts === true && status < 300;
    if (!isRefusal && !isAction) return;
    const action = {
      who: this.#actorOf(request, isAction),
      from: peerOf(request).address,
      what: `${method} ${url.split('?', 1)[0] ?? ''}`,
      about: this.#passedGuard.has(request)
        ? auditDetails(request, isAction)
        : `(${status === 421 ? 'foreign name' : 'foreign web page'})`,
      status,
    };
    if (isAction) this.#audit.acted(action);
    else if (status === 429) this.#audit.slowed();
    else this.#audit.refused(action);
  }

  #actorOf(request: FastifyRequest, isAction: boolean): string {
    const standing = this.#standings.get(request);
    if (standing !== undefined) return actorText(standing);
    if (isAction) return 'the instance itself';
    const bearer = bearerOf(request);
    if (bearer !== null && !isToken(bearer)) return 'a secret';
    return actorText(this.#standingOf(bearer, this.#shownBy(request)?.standing ?? null));
  }
}

/** Statuses of refused access; `MISDIRECTED` is a request by a foreign name. */
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
    fix: 'Correct it (tokens of services: ROLLCALL_TOKEN), then try again; requests with a valid one are still answered.',
    retryAfterMs: waitMs,
  };
}

const AUDITED_FIELDS = ['id', 'service', 'namespace', 'admin', 'weight', 'untilMs', 'deadlineMs', 'reason'];

/**
 * The details of a request for the audit, without secrets: the subject, the change and the reason. Of a query, it
 * includes only the reason, and only for a successful action: clients may send any text.
 */
export function auditDetails({ query, body }: FastifyRequest, isAction: boolean): string {
  return [...(isAction ? fieldsIn(query, ['reason']) : []), ...fieldsIn(body, AUDITED_FIELDS)].join(' ');
}

function fieldsIn(source: unknown, keys: readonly string[]): readonly string[] {
  if (!isRecord(source)) return [];
  return keys.flatMap((key) => {
    const value = source[key];
    return typeof value === 'string' || typeof value === 'number' ? [`${key}=${value}`] : [];
  });
}
