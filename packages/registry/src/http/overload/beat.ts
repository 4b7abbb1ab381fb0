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

/** Heartbeat-2 as a route of Fastify. */
export const BEAT_ROUTE = '/api/v1/instances/:id/heartbeat';

/** Ids and nothing to decode: what else there may be in a path, Fastify knows. */
const BEAT_PATH = /^\/api\/v1\/instances\/([A-Za-z0-9._~-]{1,128})\/heartbeat$/;

/** Of beats that nobody expects so many pass in a turn of the event loop: more than one new connection, which is what it takes in. */
const MOST_STRAYS = 2;

/** One beat, read and decided: what is behind the route, and behind the short way. */
export function beatOutcome(
  registry: Pick<RegistryApi, 'beat'>,
  id: string,
  secret: Proof,
  body: unknown,
): Outcome<BeatAnswer> {
  const beat = bodyOf(beatMessage, body);
  return beat.ok ? registry.beat(id, secret, beat.value) : beat;
}

/** Answers the request, now or later, and says so; false: it has not touched it. */
export type ShortWay = (request: IncomingMessage, response: ServerResponse) => boolean;

/**
 * Beats are most of what a registry is asked, each on a connection of its own, and Fastify's hooks, routing and body parser cost
 * as much as everything that we do. So beats that look as all clients send them are answered here. Whatever is unusual about
 * one (a foreign Host or Origin, an escaped id, a query, another content type, a body without a length or too long) is left
 * to Fastify's route, which refuses it or not: those rules exist once, and both ways answer alike. So is a beat that nobody expects, of an
 * unknown instance, with a wrong secret, or too early, but for a few in each turn of the event loop: whoever floods with those waits in the
 * queue as every flood does, and a fleet that a registry has forgotten hears at once that it must register.
 */
export function createShortWay(
  { registry, log, metrics }: Pick<RouteContext, 'registry' | 'log' | 'metrics'>,
  guard: Guard,
  tokens: BeatRules | null = null,
): ShortWay {
  const turnDown = (response: ServerResponse, problem: Problem, more?: Readonly<Record<string, string>>): void => {
    metrics?.refused(problem.code);
    refuse(response, problem, more);
  };
  const strays = new Strays();
  return (request, response) => {
    const id = idOf(request);
    if (id === null || guard(request.headers) !== null || tokens?.isUnusual(request) === true) return false;
    const proofNow = (): Proof => (tokens === null ? secretOf(request) : tokens.proofOf(request));
    if (!registry.admits(id, proofNow()) && !strays.mayPass()) return false;
    receive(request, (bytes) => {
      try {
        const body = readBody(bytes);
        // as Fastify does it: who sends no JSON gets no second request on this connection
        if (!body.ok) return turnDown(response, body.problem, { connection: 'close' });
        // by now: the certificate of the connection may have ended while the body came
        const outcome = beatOutcome(registry, id, proofNow(), body.value);
        if (outcome.ok) return send(response, 200, { 'content-type': JSON_TYPE }, outcome.value);
        // one failure too many is counted as what it is, as Fastify's route does
        metrics?.refused(outcome.problem.code);
        refuse(response, slowed(outcome.problem, request, tokens));
      } catch (error) {
        turnDown(response, problemOfThrown(error, `POST ${BEAT_ROUTE}`, log));
      }
    });
    return true;
  };
}

/** Beats that nobody expects. */
class Strays {
  #passed = 0;

  mayPass(): boolean {
    if (this.#passed === 0) setImmediate(() => (this.#passed = 0));
    this.#passed += 1;
    return this.#passed <= MOST_STRAYS;
  }
}

/** What tokens, where they are asked for, change about a beat. */
export interface BeatRules {
  /** It is left to Fastify's route. */
  isUnusual(request: IncomingMessage): boolean;
  /** What it shows for itself. */
  proofOf(request: IncomingMessage): Proof;
  /** What is answered instead of a refusal. */
  beatRefusal(address: string, what: string, problem: Problem): Problem;
}

function slowed(problem: Problem, request: IncomingMessage, tokens: BeatRules | null): Problem {
  return tokens?.beatRefusal(peerOf(request).address, `POST ${request.url ?? ''}`, problem) ?? problem;
}

/** The id that a usual beat is for; null when this is none. */
function idOf({ method, url = '', headers }: IncomingMessage): string | null {
  if (method !== 'POST' || headers['content-type'] !== 'application/json') return null;
  if (headers['content-encoding'] !== undefined || !expectsNoMore(headers)) return null;
  const length = Number(headers['content-length']);
  if (!(length > 0 && length <= BODY_LIMIT)) return null;
  return BEAT_PATH.exec(url)?.[1] ?? null;
}

/** The whole body; never, when the peer is gone before. Node's parser keeps it to its `content-length`. */
function receive(request: IncomingMessage, done: (bytes: Buffer) => void): void {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => done(Buffer.concat(chunks)));
}
