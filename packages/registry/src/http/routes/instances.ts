import { sleep, STATES, VERSION } from '@rollcall/core';
import type { ProcessFacts, RegistryStatus } from '@rollcall/core';
import type { FastifyPluginCallback, FastifyReply, FastifyRequest } from 'fastify';
import type { Load } from '../../metrics/host-budget.js';

import type { Outcome } from '../../registry-api.js';
import { sendOutcome, sendProblem } from '../exchange/problem.js';
import { checkName, flagOf, listOf, namespaceOf, numberOf, peerOf, enumOf } from '../exchange/request.js';
import { sendShared } from '../exchange/response-coding.js';
import { filtered, Views } from '../exchange/views.js';
import type { Newest, ServiceQuestion } from '../exchange/views.js';
import type { RouteContext } from '../route-context.js';

const MAX_WAIT_MS = 60_000;
/** Time by which a long poll may outlast its wait before its connection counts as idle. */
const SLACK_MS = 10_000;

/** Routes for people, scripts and other programs. */
export const peopleRoutes: FastifyPluginCallback<RouteContext> = (app, context, done) => {
  const { registry, authorization } = context;
  const views = new Views(registry);

  app.get('/api/v1/services', (request, reply) => {
    const namespace = namespaceOf(request);
    return sendOutcome(reply, 200, namespace.ok ? registry.services(namespace.value) : namespace);
  });

  app.get<{ Params: { name: string } }>('/api/v1/services/:name', async (request, reply) => {
    const parsed = readQuery(request, request.params.name);
    if (!parsed.ok) return sendProblem(reply, parsed.problem);
    const query = parsed.value;
    if (query.waitMs > 0) {
      const change = await waitForChange({ ...context, views }, query, { request, reply });
      if (!change.ok) return sendProblem(reply, change.problem);
      if (request.socket.destroyed) return reply.hijack();
    }
    if (query.withHeartbeats) {
      const measured = registry.service(query.namespace, query.name, true);
      return sendOutcome(reply, 200, measured.ok ? { ok: true, value: filtered(measured.value, query) } : measured);
    }
    const answer = views.text(query);
    return answer.ok ? sendShared(request, reply, answer.value) : sendProblem(reply, answer.problem);
  });

  app.get<{ Params: { id: string } }>('/api/v1/instances/:id', (request, reply) =>
    sendOutcome(reply, 200, registry.instance(request.params.id)),
  );

  app.get('/api/v1/registry', async (request, reply) => {
    const facts = (await context.process?.()) ?? UNKNOWN_PROCESS;
    const answer = registry.describe();
    if (!answer.ok) return sendOutcome(reply, 200, answer);
    const value: RegistryStatus = {
      ...answer.value,
      version: VERSION,
      ...accessOf(context),
      ...diagnosisOf(context, answer.value),
      ...facts,
      visitor: authorization.visitorOf(request),
    };
    return sendOutcome(reply, 200, { ok: true, value });
  });

  done();
};

const UNKNOWN_PROCESS: ProcessFacts = { files: null, container: null };

/** The access control of the registry. */
function accessOf({ access, insecure, tls }: RouteContext): Pick<RegistryStatus, 'access' | 'insecure' | 'tls'> {
  return { access, insecure, tls: tls?.describe() ?? null };
}

/** Data for diagnosis. */
function diagnosisOf(
  { refused, host, endingTokens }: RouteContext,
  load: Load,
): Pick<RegistryStatus, 'refused' | 'host' | 'endingTokens'> {
  return { refused: refused?.answer() ?? [], host: host?.(load) ?? [], endingTokens: endingTokens?.() ?? [] };
}

/** A query for one service. */
interface Query extends ServiceQuestion {
  readonly withHeartbeats: boolean;
  /** The caller knows everything up to here. */
  readonly revision: number;
  /** 0: answer at once. */
  readonly waitMs: number;
}

function readQuery(request: FastifyRequest, name: string): Outcome<Query> {
  const namespace = namespaceOf(request);
  if (!namespace.ok) return namespace;
  const service = checkName('name', name);
  if (!service.ok) return service;
  const revision = numberOf(request, 'revision', Number.MAX_SAFE_INTEGER);
  if (!revision.ok) return revision;
  const waitMs = numberOf(request, 'waitMs', MAX_WAIT_MS);
  if (!waitMs.ok) return waitMs;
  const heartbeats = flagOf(request, 'heartbeats');
  if (!heartbeats.ok) return heartbeats;
  const states = enumOf(request, 'state', STATES);
  if (!states.ok) return states;
  return {
    ok: true,
    value: {
      namespace: namespace.value,
      name: service.value,
      states: states.value,
      versions: listOf(request, 'version'),
      zones: listOf(request, 'zone'),
      withHeartbeats: heartbeats.value,
      revision: revision.value ?? 0,
      waitMs: revision.value === null ? 0 : (waitMs.value ?? 0),
    },
  };
}

interface Exchange {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

/**
 * Long poll: resolves when the service has changed since the revision that the caller knows, its time is over, the
 * caller is gone or the server closes. The feed only triggers a check; the view itself decides, so that neither a flush
 * about another service nor a revision of another epoch can mislead. Refused if no further watcher is allowed, and
 * immediately if the caller's token or certificate is no longer valid.
 */
async function waitForChange(
  context: RouteContext & { readonly views: Views },
  { namespace, name, revision, waitMs }: Query,
  { request, reply }: Exchange,
): Promise<Outcome<null>> {
  const { registry, time, lasting, authorization, views, queue } = context;
  const response = reply.raw;
  const known = views.newest(namespace, name);
  if (!known.ok || isNewer(known.value, revision)) return NOTHING;
  const abort = new AbortController();
  const wake = (): void => abort.abort();
  let isClosing = false;
  const endNow = (): void => {
    isClosing = true;
    wake();
  };
  const check = (): void => {
    const now = views.newest(namespace, name);
    if (!now.ok || isNewer(now.value, revision)) wake();
  };
  const { epoch, revision: at } = known.value;
  const cursor = { epoch, revision: at };
  const peer = peerOf(request).address;
  const order = { namespace, services: [name], resume: [name], cursor, line: null, peer };
  const watching = registry.watch(order, { flush: check, beat() {}, backlog: () => 0, end: wake });
  if (!watching.ok) return watching;
  response.socket?.setTimeout(waitMs + SLACK_MS);
  response.once('close', wake);
  lasting.add(endNow);
  const release = authorization.track(request, watching.value, wake);
  await sleep(time, waitMs, { signal: abort.signal, background: true });
  response.off('close', wake);
  lasting.delete(endNow);
  release();
  watching.value.closed();
  // one change wakes thousands
  if (!isClosing && !response.destroyed) await queue.turn(request);
  return recheck(context, request);
}

/** A waiting client may have lost its right to the answer. */
function recheck({ authorization, tls }: RouteContext, request: FastifyRequest): Outcome<null> {
  const { socket } = request;
  if (tls?.isRetired(socket) === true) {
    // its identity is not trusted any more: the client has to connect again
    socket.destroy();
    return NOTHING;
  }
  const problem = authorization.refusalOf(request);
  return problem === null ? NOTHING : { ok: false, problem };
}

const NOTHING = { ok: true, value: null } as const;

/** A lower revision than the caller's is a change, too: the registry began a new epoch. */
const isNewer = ({ revision, changed }: Newest, known: number): boolean => revision < known || changed > known;
