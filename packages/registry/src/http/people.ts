import { sleep, STATES, VERSION } from '@rollcall/core';
import type { FastifyPluginCallback, FastifyRequest } from 'fastify';
import type { ServerResponse } from 'node:http';
import type { Outcome, ServiceAnswer } from '../face.js';
import type { Load } from '../host-budget.js';
import type { ConditionAnswer } from './condition.js';
import { flawed, sendOutcome, sendProblem } from './problem.js';
import { checkName, flagOf, listOf, namespaceOf, numberOf, peerOf } from './request.js';
import type { Rim } from './rim.js';

const LONGEST_WAIT_MS = 60_000;
/** How long a long poll may outlast its wait before its connection counts as idle. */
const SLACK_MS = 10_000;

/** What people, scripts and other programs ask. */
export const peopleRoutes: FastifyPluginCallback<Rim> = (app, rim, done) => {
  const { registry, entrance } = rim;

  app.get('/api/v1/services', (request, reply) => {
    const namespace = namespaceOf(request);
    return sendOutcome(reply, 200, namespace.ok ? registry.services(namespace.value) : namespace);
  });

  app.get<{ Params: { name: string } }>('/api/v1/services/:name', async (request, reply) => {
    const asked = questionOf(request, request.params.name);
    if (!asked.ok) return sendProblem(reply, asked.problem);
    const question = asked.value;
    if (question.waitMs > 0) {
      const waited = await untilNews(rim, { ...question, peer: peerOf(request).address }, reply.raw);
      if (!waited.ok) return sendProblem(reply, waited.problem);
    }
    const answer = registry.service(question.namespace, question.name, question.withHeartbeats);
    return sendOutcome(reply, 200, answer.ok ? { ok: true, value: filtered(answer.value, question) } : answer);
  });

  app.get<{ Params: { id: string } }>('/api/v1/instances/:id', (request, reply) =>
    sendOutcome(reply, 200, registry.instance(request.params.id)),
  );

  app.get('/api/v1/registry', (request, reply) => {
    const answer = registry.describe();
    if (!answer.ok) return sendOutcome(reply, 200, answer);
    const value = {
      ...answer.value,
      version: VERSION,
      ...mannerOf(rim),
      ...conditionOf(rim, answer.value),
      visitor: entrance.visitorOf(request),
    };
    return sendOutcome(reply, 200, { ok: true, value });
  });

  done();
};

/** How it is entered. */
function mannerOf({ access, insecure, tls }: Rim): object {
  return { access, insecure, tls: tls?.describe() ?? null };
}

/** What who diagnoses it wants to know. */
function conditionOf({ refused, host }: Rim, load: Load): ConditionAnswer {
  return { refused: refused?.answer() ?? [], host: host?.(load) ?? [] };
}

/** What is asked about one service. An empty filter lets everything through. */
interface Question {
  readonly namespace: string;
  readonly name: string;
  readonly states: readonly string[];
  readonly versions: readonly string[];
  readonly zones: readonly string[];
  readonly withHeartbeats: boolean;
  /** The caller knows everything up to here. */
  readonly revision: number;
  /** 0: answer at once. */
  readonly waitMs: number;
}

function questionOf(request: FastifyRequest, name: string): Outcome<Question> {
  const namespace = namespaceOf(request);
  if (!namespace.ok) return namespace;
  const service = checkName('name', name);
  if (!service.ok) return service;
  const revision = numberOf(request, 'revision', Number.MAX_SAFE_INTEGER);
  if (!revision.ok) return revision;
  const waitMs = numberOf(request, 'waitMs', LONGEST_WAIT_MS);
  if (!waitMs.ok) return waitMs;
  const heartbeats = flagOf(request, 'heartbeats');
  if (!heartbeats.ok) return heartbeats;
  const states = listOf(request, 'state');
  const wrong = states.find((state) => !STATES.some((known) => known === state));
  if (wrong !== undefined) return { ok: false, problem: flawed('state', wrong, `one of ${STATES.join(', ')}`) };
  return {
    ok: true,
    value: {
      namespace: namespace.value,
      name: service.value,
      states,
      versions: listOf(request, 'version'),
      zones: listOf(request, 'zone'),
      withHeartbeats: heartbeats.value,
      revision: revision.value ?? 0,
      waitMs: revision.value === null ? 0 : (waitMs.value ?? 0),
    },
  };
}

function filtered(answer: ServiceAnswer, { states, versions, zones }: Question): ServiceAnswer {
  const instances = answer.instances.filter(
    ({ state, version, zone }) => fits(states, state) && fits(versions, version) && fits(zones, zone),
  );
  return { ...answer, instances };
}

function fits(wanted: readonly string[], value: string): boolean {
  return wanted.length === 0 || wanted.includes(value);
}

/**
 * Long poll: resolves when the service has changed since the revision that the caller knows, its time is over, the caller is
 * gone or the server closes. The feed only says when to look; what counts is the view itself, so that neither a flush about
 * something else nor a revision of another epoch can mislead. Refused where nobody may watch any more.
 */
async function untilNews(
  rim: Rim,
  question: Question & { readonly peer: string },
  response: ServerResponse,
): Promise<Outcome<null>> {
  const { registry, time, lasting } = rim;
  const { namespace, name, revision, waitMs, peer } = question;
  const known = registry.service(namespace, name);
  if (!known.ok || isNewer(known.value, revision)) return NOTHING;
  const over = new AbortController();
  const wake = (): void => over.abort();
  const look = (): void => {
    const answer = registry.service(namespace, name);
    if (!answer.ok || isNewer(answer.value, revision)) wake();
  };
  const { epoch, revision: at } = known.value;
  const order = { namespace, services: [name], resume: [name], cursor: { epoch, revision: at }, line: null, peer };
  const watching = registry.watch(order, { flush: look, beat() {}, backlog: () => 0, end: wake });
  if (!watching.ok) return watching;
  response.socket?.setTimeout(waitMs + SLACK_MS);
  response.once('close', wake);
  lasting.add(wake);
  await sleep(time, waitMs, { signal: over.signal, background: true });
  response.off('close', wake);
  lasting.delete(wake);
  watching.value.closed();
  return NOTHING;
}

const NOTHING = { ok: true, value: null } as const;

/** Lower than what the caller knows is news too: the registry began a new epoch. */
function isNewer(answer: ServiceAnswer, revision: number): boolean {
  if (answer.revision < revision) return true;
  return [...answer.instances, ...answer.removed].some((one) => one.revision > revision);
}
