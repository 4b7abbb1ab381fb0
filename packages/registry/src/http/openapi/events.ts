import { EVENT_KINDS, registryEventMessage, STATES } from '@rollcall/core';
import type { EventsAnswer, JsonSchema } from '@rollcall/core';
import { LARGEST_LIMIT } from '../exchange/request.js';
import {
  COUNT,
  ID_IN_PATH,
  inQuery,
  listOf,
  NAMES_IN_QUERY,
  NAMESPACE_IN_QUERY,
  object,
  operation,
  TEXT,
} from './parts.js';

/** `GET /api/v1/events` */
export const EVENTS: JsonSchema = operation({
  summary:
    'The events, newest last: the newest ones, with `before` the newest before an event, with `after` those after an event.',
  parameters: [
    NAMESPACE_IN_QUERY,
    inQuery('after', COUNT, 'the `last` of the previous answer: only later events, oldest first'),
    inQuery('before', COUNT, 'the first `seq` of the previous answer: only earlier events; not together with `after`'),
    inQuery(
      'limit',
      { type: 'integer', minimum: 1, maximum: LARGEST_LIMIT, default: 100 },
      'the maximum number of events',
    ),
    inQuery('service', NAMES_IN_QUERY, 'only of these services'),
    inQuery('instance', { ...NAMES_IN_QUERY, items: ID_IN_PATH.schema }, 'only of these instances'),
    inQuery('kind', listOf({ enum: EVENT_KINDS }), 'only of these kinds'),
    inQuery('state', listOf({ enum: STATES }), 'only events after which the instance has this state'),
    inQuery('from', COUNT, 'wall clock, ms since 1970: events at this time or later'),
    inQuery('to', COUNT, 'wall clock, ms since 1970: events before this time'),
  ],
  answer: object<EventsAnswer>({
    epoch: TEXT,
    since: { type: 'number' },
    last: COUNT,
    more: { type: 'boolean' },
    missed: COUNT,
    older: { type: 'boolean' },
    dropped: COUNT,
    events: listOf(registryEventMessage.jsonSchema),
  }),
});
