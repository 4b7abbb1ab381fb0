import { beatMessage } from '@rollcall/core';
import type { BeatAnswer, Problem } from '@rollcall/core';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Outcome, Proof, RegistryApi } from '../../registry-api.js';
import type { Guard } from '../access/guard.js';
import { BODY_LIMIT, bodyOf, readBody } from '../exchange/body.js';
import { refuse, send } from '../exchange/plain-response.js';
import { JSON_TYPE, problemOfThrown } from '../exchange/problem.js';
import { peerOf, secretOf } from '../exchange/request.js';
import { expectsNoMore } from '../exchange/unroutable.js';
import type { RouteContext } from '../route-context.js';

/** The Fastify route of Heartbeat-2. */
export const BEAT_ROUTE = '/api/v1/instances/:id/heartbeat';

/** Ids without escapes: other paths are left to Fastify. */
const BEAT_PATH = /^\/api\/v1\/instances\/([A-Za-z0-9._~-]{1,128})\/heartbeat$/;

/**
 * Maximum of unexpected heartbeats per turn of the event loop: more than the one new connection that Node accepts per
 * turn.
 */
const MAX_STRAYS = 2;

/** Parses and processes one heartbeat: shared by the route and the fast path. */
export function beatOutcome(
  registry: Pick<RegistryApi, 'beat'>,
  id: string,
  secret: Proof,
  body: unknown,
): Outcome<BeatAnswer> {
  const beat = bodyOf(beatMessage, body);
  return beat.ok ? registry.beat(id, secret, beat.value) : beat;
}

/** Returns true if it answers the request, now or later; false if it left the request untouched. */
export type FastPath = (request: IncomingMessage, response: ServerResponse) => boolean;

/**
 * Heartbeats are most of the requests of a registry, each on a connection of its own, and Fastify's hooks, routing and
 * body parser cost as much as everything that the registry does. So heartbeats in the usual form are answered here.
 * Anything unusual (a foreign Host or Origin, an escaped id, a query, another content type, a body without a length or
 * too long) is left to the route of Fastify, so those rules exist once and both paths answer alike. Unexpected
 * heartbeats (an unknown instance, a wrong secret, too early) are left to it, too, except for a few per turn of the
 * event loop: a flood of them waits in the queue like every flood, and a fleet that a registry has lost learns at once
 * that it must register.
 */
export function createFastPath(
  { registry, log, metrics }: Pick<RouteContext, 'registry' | 'log' | 'metrics'>,
  guard: Guard,
  tokens: BeatRules | null = null,
): FastPath {
  const sendRefusal = (response: ServerResponse, problem: Problem, more?: Readonly<Record<string, string>>): void => {
    metrics?.refused(problem.code);
    refuse(response, problem, more);
  };
  const strays = new StrayHeartbeats();
  return (request, response) => {
    const id = idOf(request);
    if (id === null || guard(request.headers) !== null || tokens?.isUnusual(request) === true) return false;
    const proofNow = (): Proof => (tokens === null ? secretOf(request) : tokens.proofOf(request));
    if (!registry.admits(id, proofNow()) && !strays.mayPass()) return false;
    receive(request, (bytes) => {
      try {
        const body = readBody(bytes);
        // as in Fastify: after a body that is not JSON the connection serves no second request
        if (!body.ok) return sendRefusal(response, body.problem, { connection: 'close' });
        // checked again: the certificate of the connection may have expired while the body arrived
        const outcome = beatOutcome(registry, id, proofNow(), body.value);
        if (outcome.ok) return send(response, 200, { 'content-type': JSON_TYPE }, outcome.value);
        // a failure beyond the limit keeps its code in the metrics, as in the route of Fastify
        metrics?.refused(outcome.problem.code);
        refuse(response, slowed(outcome.problem, request, tokens));
      } catch (error) {
        sendRefusal(response, problemOfThrown(error, `POST ${BEAT_ROUTE}`, log));
      }
    });
    return true;
  };
}

/** Counts unexpected heartbeats per turn of the event loop. */
class StrayHeartbeats {
  #passed = 0;

  mayPass(): boolean {
    if (this.#passed === 0) setImmediate(() => (this.#passed = 0));
    this.#passed += 1;
    return this.#passed <= MAX_STRAYS;
  }
}

/** The additional checks of a heartbeat if tokens are required. */
export interface BeatRules {
  /** True if the heartbeat is left to the route of Fastify. */
  isUnusual(request: IncomingMessage): boolean;
  /** The credentials of the request. */
  proofOf(request: IncomingMessage): Proof;
  /** The problem to answer instead of a refusal. */
  beatRefusal(address: string, what: string, problem: Problem): Problem;
}

function slowed(problem: Problem, request: IncomingMessage, tokens: BeatRules | null): Problem {
  return tokens?.beatRefusal(peerOf(request).address, `POST ${request.url ?? ''}`, problem) ?? problem;
}

/** The id of a heartbeat in the usual form; null for any other request. */
function idOf({ method, url = '', headers }: IncomingMessage): string | null {
  if (method !== 'POST' || headers['content-type'] !== 'application/json') return null;
  if (headers['content-encoding'] !== undefined || !expectsNoMore(headers)) return null;
  const length = Number(headers['content-length']);
  if (!(length > 0 && length <= BODY_LIMIT)) return null;
  return BEAT_PATH.exec(url)?.[1] ?? null;
}

/**
 * Calls `done` with the whole body; never if the peer disconnects before. Node's parser enforces the `content-length`.
 */
function receive(request: IncomingMessage, done: (bytes: Buffer) => void): void {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => done(Buffer.concat(chunks)));
}
