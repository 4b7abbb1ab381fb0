import {
  ADMIN_STATES,
  beatAnswerMessage,
  beatMessage,
  changeMessage,
  componentSchemas,
  drainAnswerMessage,
  drainMessage,
  goneMessage,
  instanceMessage,
  instancePatchMessage,
  overrideMessage,
  problemDocumentMessage,
  registeredMessage,
  registrationMessage,
  registryEventMessage,
  resetMessage,
  STATES,
  statusMessage,
  suspicionMessage,
  tombstoneMessage,
  unknownMessage,
} from '@rollcall/core';
import type {
  AnyMessage,
  Instance,
  InstanceAnswer,
  InstancesAnswer,
  JsonSchema,
  LineLosses,
  OwnSettings,
  ServiceAnswer,
  ServicesAnswer,
  ServiceSummary,
  TimelineAnswer,
} from '@rollcall/core';
import type { FastifyPluginCallback } from 'fastify';
import { INSTANCE_SORTS } from '../../queries/instance-query.js';
import { LARGEST_LIMIT } from '../exchange/request.js';
import { MAX_SEARCH_LENGTH } from '../routes/instance-list.js';
import { CALL_PATHS } from './calls.js';
import { EVENTS } from './events.js';
import { REGISTRY_STATUS } from './registry-status.js';
import {
  COUNT,
  HEARTBEATS,
  ID_IN_PATH,
  inQuery,
  listOf,
  NAME,
  NAMES_IN_QUERY,
  NAMESPACE_IN_QUERY,
  object,
  operation,
  orNull,
  SECRET_NEEDED,
  TEXT,
} from './parts.js';

/** `/openapi.json`: the messages come from the tables that also validate them. */
export const openapiRoutes: FastifyPluginCallback = (app, _options, done) => {
  const text = JSON.stringify(openapi());
  app.get('/openapi.json', (_request, reply) => reply.type('application/json; charset=utf-8').send(text));
  done();
};

/** OpenAPI 3.1 of every route that exists. */
function openapi(): JsonSchema {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Rollcall registry',
      version: '1',
      description:
        'The instances of services, their states, and streams of their changes. Unknown fields are ignored; fields may be added.',
    },
    paths: { ...SERVICE_PATHS, ...PEOPLE_PATHS, ...CALL_PATHS },
    components: {
      schemas: componentSchemas(MESSAGES),
      securitySchemes: {
        secret: { type: 'http', scheme: 'bearer', description: 'The secret of the instance, as it was registered.' },
        token: { type: 'http', scheme: 'bearer', description: 'An access token, where the registry asks for one.' },
        operator: {
          type: 'apiKey',
          in: 'header',
          name: 'X-Rollcall-Operator',
          description: '`1`, over loopback only.',
        },
      },
    },
  };
}

const MESSAGES: readonly AnyMessage[] = [
  registrationMessage,
  registeredMessage,
  beatMessage,
  beatAnswerMessage,
  suspicionMessage,
  drainMessage,
  drainAnswerMessage,
  instanceMessage,
  tombstoneMessage,
  instancePatchMessage,
  overrideMessage,
  registryEventMessage,
  problemDocumentMessage,
  resetMessage,
  changeMessage,
  unknownMessage,
  statusMessage,
  goneMessage,
];

const SERVICE_PATHS: JsonSchema = {
  '/api/v1/register': {
    post: operation({
      summary: registrationMessage.about,
      body: registrationMessage.jsonSchema,
      status: 201,
      answer: registeredMessage.jsonSchema,
    }),
  },
  '/api/v1/watch': {
    get: operation({
      summary: 'The change feed, as Server-Sent Events; with `instance` and its secret also the line of that instance.',
      parameters: [
        inQuery('service', NAMES_IN_QUERY, 'names of services, or `*` for everything'),
        inQuery('resume', NAMES_IN_QUERY, 'the services whose view the client has up to `Last-Event-ID`'),
        inQuery('instance', TEXT, 'the instance that this line belongs to'),
        NAMESPACE_IN_QUERY,
        inQuery(
          'beatMs',
          { type: 'integer', minimum: 1_000, maximum: 10_000, default: 10_000 },
          'the longest time without data; the answer’s header `Rollcall-Beat-Ms` confirms it',
        ),
        { name: 'Last-Event-ID', in: 'header', schema: TEXT, description: '`<epoch>.<revision>`, the last `id`' },
      ],
      answer: TEXT,
      mediaType: 'text/event-stream',
      security: [{}, ...SECRET_NEEDED],
    }),
  },
  '/api/v1/instances/{id}/heartbeat': {
    post: operation({
      summary: beatMessage.about,
      parameters: [ID_IN_PATH],
      body: beatMessage.jsonSchema,
      answer: beatAnswerMessage.jsonSchema,
      security: SECRET_NEEDED,
    }),
  },
  '/api/v1/instances/{id}/suspect': {
    post: operation({
      summary: suspicionMessage.about,
      parameters: [ID_IN_PATH],
      body: suspicionMessage.jsonSchema,
      status: 202,
    }),
  },
  '/api/v1/instances/{id}/drain': {
    post: operation({
      summary: drainMessage.about,
      parameters: [ID_IN_PATH],
      body: drainMessage.jsonSchema,
      status: 202,
      answer: drainAnswerMessage.jsonSchema,
      security: SECRET_NEEDED,
    }),
  },
  '/api/v1/instances/{id}': {
    delete: operation({
      summary: 'The instance leaves, or an operator removes it: its id is never used again.',
      parameters: [
        ID_IN_PATH,
        inQuery('reason', { type: 'string', maxLength: 200 }, 'the reason, as an operator writes it for people'),
      ],
      status: 204,
      security: [...SECRET_NEEDED, { operator: [] }],
    }),
    patch: operation({
      summary: instancePatchMessage.about,
      parameters: [ID_IN_PATH],
      body: instancePatchMessage.jsonSchema,
      answer: instanceAnswer(),
      security: [{ operator: [] }],
    }),
    get: operation({
      summary: 'One instance, with the results of its heartbeats.',
      parameters: [ID_IN_PATH],
      answer: instanceAnswer(),
    }),
  },
};

const INSTANCES = listOf({
  allOf: [instanceMessage.jsonSchema, { type: 'object', properties: { heartbeats: HEARTBEATS } }],
});
const SORTS = INSTANCE_SORTS.flatMap((sort) => [sort, `-${sort}`]);

const PEOPLE_PATHS: JsonSchema = {
  '/api/v1/services': {
    get: operation({
      summary: 'All services, with the number of their instances in each state, and of those that may be called.',
      parameters: [NAMESPACE_IN_QUERY],
      answer: object<ServicesAnswer>({
        revision: COUNT,
        services: listOf(
          object<ServiceSummary>({
            name: NAME,
            namespace: NAME,
            instances: COUNT,
            states: object(Object.fromEntries(STATES.map((state) => [state, COUNT]))),
            callable: COUNT,
            admin: object(Object.fromEntries(ADMIN_STATES.map((admin) => [admin, COUNT]))),
          }),
        ),
      }),
    }),
  },
  '/api/v1/services/{name}': {
    get: operation({
      summary:
        'One service with its instances. With `revision` and `waitMs` the answer waits for a change (long poll).',
      parameters: [
        { name: 'name', in: 'path', required: true, schema: NAME },
        NAMESPACE_IN_QUERY,
        inQuery('state', listOf({ enum: STATES }), 'only instances in one of these states'),
        inQuery('version', listOf(TEXT), 'only instances of one of these versions'),
        inQuery('zone', listOf(TEXT), 'only instances in one of these zones'),
        inQuery(
          'heartbeats',
          { type: 'boolean', default: false },
          'with the results of the heartbeats of each instance',
        ),
        inQuery('revision', COUNT, 'the revision up to which the client knows everything'),
        inQuery(
          'waitMs',
          { type: 'integer', minimum: 0, maximum: 60_000 },
          'the maximum time to wait for a newer revision',
        ),
      ],
      answer: object<ServiceAnswer>({
        service: NAME,
        namespace: NAME,
        epoch: TEXT,
        revision: COUNT,
        settled: { type: 'boolean' },
        instances: INSTANCES,
        removed: listOf(tombstoneMessage.jsonSchema),
      }),
    }),
  },
  '/api/v1/instances': {
    get: operation({
      summary: 'Instances of all services, by filters, a page at a time. To read on, send `next` as `after`.',
      parameters: [
        NAMESPACE_IN_QUERY,
        inQuery('service', NAMES_IN_QUERY, 'only of these services'),
        inQuery('state', listOf({ enum: STATES }), 'only instances in one of these states'),
        inQuery('admin', listOf({ enum: ADMIN_STATES }), 'only instances in one of these administrative states'),
        inQuery('callable', { type: 'boolean' }, 'only instances that callers may use, or only the others'),
        inQuery('zone', listOf(TEXT), 'only instances in one of these zones'),
        inQuery('version', listOf(TEXT), 'only instances of one of these versions'),
        inQuery(
          'q',
          { type: 'string', maxLength: MAX_SEARCH_LENGTH },
          'a part of id, service, version, zone or address',
        ),
        inQuery('sort', { enum: SORTS, default: 'service' }, 'the order; reversed with a `-` before it'),
        inQuery(
          'limit',
          { type: 'integer', minimum: 1, maximum: LARGEST_LIMIT, default: 100 },
          'the maximum number of instances',
        ),
        inQuery('after', TEXT, 'the `next` of the previous answer, with the same `sort`'),
        inQuery(
          'heartbeats',
          { type: 'boolean', default: false },
          'with the results of the heartbeats of each instance',
        ),
      ],
      answer: object<InstancesAnswer>({
        epoch: TEXT,
        revision: COUNT,
        settled: { type: 'boolean' },
        total: COUNT,
        next: orNull(TEXT),
        instances: INSTANCES,
      }),
    }),
  },
  '/api/v1/instances/{id}/timeline': {
    get: operation({
      summary: 'The events of one instance, newest last, also while only its tombstone is left.',
      parameters: [ID_IN_PATH],
      answer: object<TimelineAnswer>({
        id: TEXT,
        since: { type: 'number' },
        events: listOf(registryEventMessage.jsonSchema),
      }),
    }),
  },
  '/api/v1/events': { get: EVENTS },
  '/api/v1/registry': {
    get: operation({ summary: 'The registry about itself.', answer: REGISTRY_STATUS }),
  },
  '/metrics': {
    get: operation({
      summary: 'The metrics in the text format of Prometheus; OpenMetrics where `Accept` prefers it.',
      answer: TEXT,
      mediaType: 'text/plain',
    }),
  },
  '/sd/prometheus': {
    get: operation({
      summary:
        'The scrape targets for Prometheus (`http_sd_config`); refused with 503 while the registry is not settled.',
      parameters: [
        NAMESPACE_IN_QUERY,
        inQuery('service', NAMES_IN_QUERY, 'only these services; none, or `*`: all'),
        inQuery(
          'port-from-metadata',
          { type: 'string', default: 'rollcall.metrics' },
          'the key of the metadata with the port',
        ),
      ],
      answer: listOf(object({ targets: listOf(TEXT), labels: { type: 'object', additionalProperties: TEXT } })),
    }),
  },
  '/health/live': { get: operation({ summary: 'Is the process alive?', answer: object({ status: TEXT }) }) },
  '/health/ready': {
    get: operation({ summary: 'Has the registry loaded its store?', answer: object({ status: TEXT }) }),
  },
  '/openapi.json': { get: operation({ summary: 'This document.', answer: { type: 'object' } }) },
};

function instanceAnswer(): JsonSchema {
  return {
    allOf: [
      instanceMessage.jsonSchema,
      object<Omit<InstanceAnswer, keyof Instance>>({
        own: object<OwnSettings>({ weight: COUNT, metadata: { type: 'object', additionalProperties: TEXT } }),
        override: orNull(overrideMessage.jsonSchema),
        heartbeats: HEARTBEATS,
        falls: { type: 'number' },
        line: { type: 'boolean' },
        lineLosses: orNull(object<LineLosses>({ times: COUNT, shortestMs: COUNT, longestMs: COUNT })),
      }),
    ],
  };
}
