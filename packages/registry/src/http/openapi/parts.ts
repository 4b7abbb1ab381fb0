import { ID_PATTERN, MAX_NAMES_PER_REQUEST, NAME_PATTERN, problemDocumentMessage } from '@rollcall/core';
import type { DirectionAnswer, HeartbeatsAnswer, JsonSchema } from '@rollcall/core';

/** One operation of `/openapi.json`: its input and its answers. */
interface Operation {
  readonly summary: string;
  readonly parameters?: readonly JsonSchema[];
  readonly body?: JsonSchema;
  readonly status?: number;
  readonly answer?: JsonSchema | null;
  readonly mediaType?: string;
  readonly security?: readonly JsonSchema[];
}

/** Each operation also refuses, always with a problem document. */
export function operation({
  status = 200,
  answer = null,
  mediaType = 'application/json',
  ...of
}: Operation): JsonSchema {
  const content = answer === null ? {} : { content: { [mediaType]: { schema: answer } } };
  const problem = { 'application/problem+json': { schema: problemDocumentMessage.jsonSchema } };
  return {
    summary: of.summary,
    ...(of.parameters && { parameters: of.parameters }),
    ...(of.body && { requestBody: { content: { 'application/json': { schema: of.body } } } }),
    ...(of.security && { security: of.security }),
    responses: {
      [status]: { description: 'done', ...content },
      default: { description: 'refused: `code` says why, `fix` what to do', content: problem },
    },
  };
}

/** Kinds of values that occur everywhere. */
export const COUNT = { type: 'integer', minimum: 0 };
export const TEXT = { type: 'string' };
export const NAME = { type: 'string', pattern: NAME_PATTERN.source };
export const SECRET_NEEDED = [{ secret: [] }];

/** The schema of an answer: it names each field of its type, and those of `optional` may be missing. */
export function object<Answer extends object = Readonly<Record<string, unknown>>>(
  properties: { readonly [Name in keyof Answer]-?: JsonSchema },
  optional: readonly (keyof Answer)[] = [],
): JsonSchema {
  const required = Object.keys(properties).filter((name) => !optional.some((one) => one === name));
  return { type: 'object', properties, required };
}

export function listOf(items: JsonSchema): JsonSchema {
  return { type: 'array', items };
}

/** Names of services, as a parameter that may occur often. */
export const NAMES_IN_QUERY: JsonSchema = { ...listOf(TEXT), maxItems: MAX_NAMES_PER_REQUEST };

export function orNull(schema: JsonSchema): JsonSchema {
  return { anyOf: [schema, { type: 'null' }] };
}

export function inQuery(name: string, schema: JsonSchema, description: string): JsonSchema {
  return { name, in: 'query', schema, description };
}

/** Parameters that many routes have. */
export const ID_IN_PATH = {
  name: 'id',
  in: 'path',
  required: true,
  schema: { type: 'string', pattern: ID_PATTERN.source },
};
export const NAMESPACE_IN_QUERY = inQuery(
  'namespace',
  { type: 'string', default: 'default' },
  'a namespace, or `*` for all',
);

const AGE = { type: 'number', minimum: 0 };
const DIRECTION = object<DirectionAnswer>({
  lastSuccessAgoMs: orNull(AGE),
  roundTripMs: orNull(AGE),
  misses: COUNT,
  error: orNull(TEXT),
});
/** The state of both heartbeats of an instance. */
export const HEARTBEATS = object<HeartbeatsAnswer>({ heartbeat1: DIRECTION, heartbeat2: DIRECTION });
