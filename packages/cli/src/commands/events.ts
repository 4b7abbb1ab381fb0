import {
  EVENT_KINDS,
  ID_PATTERN,
  isRollcallError,
  messageOf,
  option,
  RollcallError,
  shortId,
  sleep,
  STATES,
  systemTime,
} from '@rollcall/core';
import type { InstanceId, RegistryEvent } from '@rollcall/core';
import { ALL_NAMESPACES_FLAG, apiOf, CONNECTION_FLAGS, NAMESPACE_FLAG } from '../registry/connection.js';
import { numberAt } from '../registry/json.js';
import type { Json } from '../registry/json.js';
import { isUnknownNamespace, unknownNamespaceText, unknownServiceText } from '../registry/namespaces.js';
import { eventsIn } from '../registry/registry-api.js';
import type { RegistryApi, Whereabouts } from '../registry/registry-api.js';
import { resolveInstance } from '../registry/resolve-instance.js';
import { eventText } from '../render/event-text.js';
import { stateLook } from '../render/state-shapes.js';
import { describeFlags, parseArguments, repeated, toggle, valued } from '../terminal/arguments.js';
import { OUTPUT_FLAG } from '../terminal/formats.js';
import { jsonText } from '../terminal/json-text.js';
import { parseMoment, momentText } from '../terminal/moments.js';
import { requireOperands } from '../terminal/operands.js';
import { paint } from '../terminal/paint.js';
import type { Look } from '../terminal/paint.js';
import { EXIT } from '../terminal/shell.js';
import type { Command, ExitCode, Shell } from '../terminal/shell.js';
import { countText } from '../terminal/texts.js';

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1_000;

const textList = (doc: string, item: Parameters<typeof option.string>[0]) =>
  option.list({ doc: `${doc}; may be repeated`, item: option.string(item), default: [] });

const FLAGS = {
  '--follow': toggle('stay, and print new events', 'f'),
  '--instance': repeated(textList('only of this instance; its id may be short', { doc: 'an id' }), '<id>'),
  '--service': repeated(textList('only of this service', { doc: 'a name' }), '<name>'),
  '--kind': repeated(
    option.list({
      doc: `only these: ${EVENT_KINDS.join(', ')}; may be repeated`,
      item: option.oneOf(EVENT_KINDS, { doc: 'a kind' }),
      default: [],
    }),
    '<kind>',
  ),
  '--state': repeated(
    option.list({
      doc: `only events after which the instance has this state: ${STATES.join(', ')}; may be repeated`,
      item: option.oneOf(STATES, { doc: 'a state' }),
      default: [],
    }),
    '<state>',
  ),
  '--since': valued(
    option.string({ doc: 'only since then: an age (30m), a time of today (14:00) or a date (2026-09-21T14:00)' }),
    '<time>',
  ),
  '--until': valued(option.string({ doc: 'only before then, written as for --since' }), '<time>'),
  '--before': valued(
    option.number({ doc: 'only events before the one with this number (seq)', integer: true, min: 1 }),
    '<seq>',
  ),
  '--limit': valued(
    option.number({
      doc: `the newest events, 1 … ${MAX_LIMIT}; default ${DEFAULT_LIMIT}`,
      integer: true,
      min: 1,
      max: MAX_LIMIT,
    }),
    '<n>',
  ),
  '--all': toggle('all that are kept, the oldest first'),
  ...OUTPUT_FLAG,
  ...NAMESPACE_FLAG,
  ...ALL_NAMESPACES_FLAG,
  ...CONNECTION_FLAGS,
  '--help': toggle('this text', 'h'),
};

const HELP = `Usage: rollcall events [options]

The history, newest last: registrations, changes of state, circuits, self-preservation, and actions of operators, each with its originator and
reason. An event that is not of today has its date. The registry keeps the newest 10,000, in memory, 1,000 circuits besides them, and what
operators did longer: the newest 1,000. An event has to pass all filters.

${describeFlags(FLAGS).join('\n')}

With -o json each event is one line of JSON, as docs/PROTOCOL.md has it (RegistryEvent).

Examples:
  rollcall events --service orders --kind state
  rollcall events --instance orders…1e07 --since 30m
  rollcall events --state CRITICAL --since 2026-09-21T14:00 --until 2026-09-21T15:00
  rollcall events -f
  rollcall events --all -o json > events.ndjson`;

const POLL_MS = 500;
const KIND_WIDTH = Math.max(...EVENT_KINDS.map((kind) => kind.length));

/** `rollcall events`: the history, and new events. */
export const events: Command = { help: HELP, run };

type Query = readonly (readonly [string, string])[];
type EventFlags = ReturnType<typeof parseArguments<typeof FLAGS>>['flags'];

async function run(argv: readonly string[], shell: Shell): Promise<ExitCode> {
  const { flags, operands } = parseArguments(FLAGS, argv);
  requireOperands('events [options]', operands, 0);
  checkCombination(flags);
  const times = timeQuery(flags);
  const end = Promise.race([shell.waitForSignal(), shell.outputClosed]);
  const baseApi = await apiOf(flags, shell.env);
  const known = await baseApi.everywhere();
  await checkNamespaceHistory(baseApi, known);
  // an id does not contain its namespace
  const api = flags['--instance'].length > 0 ? baseApi.within('*') : baseApi;
  const namespaces = new Set(known.map(({ namespace }) => namespace));
  const isJson = flags['--output'] === 'json';
  const query: Query = [...(await filtersOf(flags, baseApi)), ...times];
  let printed = 0;
  const print = (answer: Json): void => {
    for (const event of eventsIn(answer)) {
      printed += 1;
      if (event.namespace !== null) namespaces.add(event.namespace);
      shell.out(isJson ? jsonText(event) : textOf(event, namespaces.size > 1, shell));
    }
  };
  const answer = flags['--all'] ? await fetchAll(api, query, print) : await fetchNewest(api, query, flags);
  if (!flags['--all']) print(answer);
  if (flags['--follow']) await follow(api, { only: query, from: answer, print, end }, shell);
  else if (!isJson) {
    if (printed === 0) shell.err(nothingText(baseApi, flags['--service'], known));
    printHidden(answer, flags['--all'], shell);
  }
  return EXIT.done;
}

/** The text if nothing matches; the requested service may be in another namespace. */
function nothingText(api: RegistryApi, services: readonly string[], known: readonly Whereabouts[]): string {
  const isHere = ({ namespace }: Whereabouts): boolean => api.namespace === '*' || namespace === api.namespace;
  const elsewhere = services.find((service) => {
    const homes = known.filter(({ name }) => name === service);
    return homes.length > 0 && !homes.some(isHere);
  });
  const text = 'Nothing of that kind has happened.';
  return elsewhere === undefined ? text : `${text} ${unknownServiceText(elsewhere, api, known)}`;
}

/** Rejects with REGISTRY_REFUSED for a namespace in which nothing is and nothing was. */
async function checkNamespaceHistory(api: RegistryApi, known: readonly Whereabouts[]): Promise<void> {
  if (!isUnknownNamespace(api.namespace, known)) return;
  const past = await api.events([['limit', String(MAX_LIMIT)]]);
  if (eventsIn(past).some(({ namespace }) => namespace === api.namespace)) return;
  throw new RollcallError('REGISTRY_REFUSED', unknownNamespaceText(api, known));
}

/** Throws OPTION_INVALID for flags that contradict each other. */
function checkCombination(flags: EventFlags): void {
  const { '--all': all, '--follow': follows, '--before': before, '--limit': limit, '--until': until } = flags;
  const contradictions: readonly (readonly [boolean, string])[] = [
    [all && limit !== undefined, '--all prints all events and --limit some: leave out one.'],
    [all && before !== undefined, '--all begins at the oldest and --before names a page: leave out one.'],
    [follows && before !== undefined, '--follow goes on to the newest and --before goes back: leave out one.'],
    [follows && until !== undefined, '--follow has no end and --until is one: leave out one.'],
  ];
  for (const [isContradiction, text] of contradictions)
    if (isContradiction) throw new RollcallError('OPTION_INVALID', text);
}

function timeQuery({ '--since': since, '--until': until }: EventFlags): Query {
  const now = systemTime.wall();
  const from = since === undefined ? null : parseMoment(since, '--since', now);
  const to = until === undefined ? null : parseMoment(until, '--until', now);
  if (from !== null && to !== null && from >= to)
    throw new RollcallError('OPTION_INVALID', `--until ${until} is not later than --since ${since}.`);
  return [
    ...(from === null ? [] : [['from', String(Math.max(0, from))] as const]),
    ...(to === null ? [] : [['to', String(Math.max(0, to))] as const]),
  ];
}

async function filtersOf(flags: EventFlags, api: RegistryApi): Promise<Query> {
  const ids = await Promise.all(flags['--instance'].map((typed) => resolveId(typed, api)));
  return [
    ...ids.map((id) => ['instance', id] as const),
    ...flags['--service'].map((name) => ['service', name] as const),
    ...flags['--kind'].map((kind) => ['kind', kind] as const),
    ...flags['--state'].map((state) => ['state', state] as const),
  ];
}

/**
 * An instance that left long ago may be known by its events only: then its whole id is required. Rejects as
 * `resolveInstance`.
 */
async function resolveId(typed: string, api: RegistryApi): Promise<InstanceId> {
  try {
    return (await resolveInstance(typed, api, 'allowed')).id;
  } catch (error) {
    if (!ID_PATTERN.test(typed) || !isRollcallError(error) || error.code !== 'REGISTRY_REFUSED') throw error;
    const answer = await api.within('*').events([
      ['instance', typed],
      ['limit', '1'],
    ]);
    if (eventsIn(answer).length === 0) throw error;
    return typed;
  }
}

function fetchNewest(
  api: RegistryApi,
  query: Query,
  { '--limit': limit, '--before': before }: EventFlags,
): Promise<Json> {
  const page = [['limit', String(limit ?? DEFAULT_LIMIT)] as const];
  return api.events([...query, ...page, ...(before === undefined ? [] : [['before', String(before)] as const])]);
}

/** Requests page by page and prints each as it arrives; returns the last one. */
async function fetchAll(api: RegistryApi, query: Query, print: (answer: Json) => void): Promise<Json> {
  for (let after = 0; ;) {
    const answer = await api.events([...query, ['limit', String(MAX_LIMIT)], ['after', String(after)]]);
    print(answer);
    if (answer['more'] !== true) return answer;
    after = numberAt(answer, 'last') ?? after;
  }
}

/** Prints which events exist besides the printed ones. */
function printHidden(answer: Json, isAll: boolean, shell: Shell): void {
  const [first] = eventsIn(answer);
  if (first !== undefined && !isAll && answer['older'] === true) shell.err(`Older events match: --before ${first.seq}`);
  const dropped = numberAt(answer, 'dropped') ?? 0;
  if (dropped > 0) shell.err(`${countText(dropped)} older events are no longer kept.`);
}

interface FollowOptions {
  readonly only: Query;
  /** The last answer printed. */
  readonly from: Json;
  readonly print: (answer: Json) => void;
  readonly end: Promise<void>;
}

/** Continues to request, also while the registry is unreachable, and reports when that begins. */
async function follow(api: RegistryApi, { only: query, from, print, end }: FollowOptions, shell: Shell): Promise<void> {
  const stopped = new AbortController();
  void end.then(() => stopped.abort());
  let last = from;
  let isUnreachable = false;
  while (!stopped.signal.aborted) {
    try {
      const answer = await api.events([...query, ['limit', '1000'], ['after', String(numberAt(last, 'last') ?? 0)]]);
      isUnreachable = false;
      const isSame = answer['epoch'] === last['epoch'];
      // after a restart the registry numbers its events from 1: print all of them
      last = isSame ? answer : await api.events([...query, ['limit', '1000']]);
      if (isSame && (numberAt(answer, 'missed') ?? 0) > 0) shell.err(`${String(answer['missed'])} events are gone.`);
      print(last);
      if (last['more'] === true) continue;
    } catch (error) {
      if (!isRollcallError(error)) throw error;
      if (!isUnreachable) shell.err(`rollcall events: ${messageOf(error)} Trying again.`);
      isUnreachable = true;
    }
    await sleep(systemTime, POLL_MS, { signal: stopped.signal });
  }
}

/** Time, kind, subject, text and reason. */
function textOf(event: RegistryEvent, hasNamespaces: boolean, shell: Shell): string {
  const { at, kind, namespace, service, instance, state } = event;
  const name = instance !== null && service !== null ? shortId({ id: instance, service }) : (service ?? 'registry');
  const subject = hasNamespaces && namespace !== null ? `${namespace}/${name}` : name;
  const look: Look = state === null ? 'faint' : stateLook(state);
  return paint(
    [
      { text: `${momentText(at, systemTime.wall())}  ` },
      { text: kind.padEnd(KIND_WIDTH), look: kind === 'state' ? look : 'faint' },
      { text: `  ${subject.padEnd(18)}  ${eventText(event)}` },
    ],
    { ...shell.terminal, width: Infinity },
  );
}
