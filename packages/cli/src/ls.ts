import { addressOf, nearest, option, RollcallError, STATES } from '@rollcall/core';
import type { Instance, State } from '@rollcall/core';
import { describeFlags, parseArguments, repeated, toggle, valued } from './arguments.js';
import { apiOf, CONNECTION_FLAGS, NAMESPACE_FLAG } from './connection.js';
import { everyMatch, FILTER_FLAGS, givenFilters, questionOf } from './instance-filters.js';
import { jsonText } from './json-text.js';
import { onlyWord } from './operands.js';
import { paint } from './paint.js';
import type { RegistryApi } from './registry-api.js';
import { EXIT } from './shell.js';
import type { Command, ExitCode, Shell } from './shell.js';
import { callableWord, renderTable, worstFirst } from './view.js';
import type { View } from './view.js';
import { aligned, countText, printable, shortNames } from './words.js';

/** Of more instances a terminal shows the first so many: the others would scroll them away. */
const MOST_LISTED = 200;
/** Instances that are named in a complaint. */
const MOST_NAMED = 20;

const FORMATS = ['table', 'wide', 'json', 'name'] as const;

const FLAGS = {
  '--output': valued(
    option.oneOf(FORMATS, { doc: `${FORMATS.join(' | ')}; default table`, default: 'table' }),
    '<format>',
    'o',
  ),
  '--watch': toggle('stay, and show what changes: as rollcall watch, and with -o json as rollcall watch --json', 'w'),
  '--fail-on': repeated(
    option.list({
      doc: `exit with ${EXIT.failed} if an instance is in this state: ${STATES.join(', ')}; may be repeated`,
      item: option.oneOf(STATES, { doc: 'a state' }),
      default: [],
    }),
    '<state>',
  ),
  ...FILTER_FLAGS,
  '--all': toggle(`on a terminal the table and wide show ${MOST_LISTED} instances at most; with this all of them`),
  ...NAMESPACE_FLAG,
  ...CONNECTION_FLAGS,
  '--help': toggle('this text', 'h'),
};

const HELP = `Usage: rollcall ls [service] [options]

The instances that the registry knows, of one service or of all, worst first: state, both heartbeats, since when, why, and what
comes next. →1 is Heartbeat-1 (the registry calls: round trip), ←2 is Heartbeat-2 (the instance calls: last arrival).

${describeFlags(FLAGS).join('\n')}

CALLABLE says whether callers may call the instance. Several filters let through what all of them let through; a repeated one what one
of its values lets through.

Formats: wide adds the whole id, the addresses, the version and the zone; json is one object, { url, revision, instances }, each instance
with its heartbeats; name is one id per line. A pipe or a file gets all of them, page by page.

Examples:
  rollcall ls
  rollcall ls orders -o wide
  rollcall ls --state CRITICAL --state UNHEALTHY --all-namespaces
  rollcall ls --callable no --zone eu-1a --sort since
  rollcall ls --fail-on CRITICAL --fail-on UNHEALTHY   # for a script that deploys
  rollcall ls --version 1.4.2 -o json | jq -r '.instances[].id'`;

/** `rollcall ls`: what the registry knows, once. */
export const ls: Command = { help: HELP, run };

async function run(argv: readonly string[], shell: Shell): Promise<ExitCode> {
  const { flags, words } = parseArguments(FLAGS, argv);
  const service = onlyWord('ls', 'service', words);
  if (flags['--watch']) return staying(flags, service, shell);
  const hasAll = flags['--all-namespaces'];
  const api = await apiOf(hasAll ? { ...flags, '--namespace': '*' } : flags, shell.env);
  const isFiltered = givenFilters(flags).length > 0;
  const view = isFiltered ? await search(api, service, flags) : await look(api, service, hasHeartbeats(flags));
  if (view.instances.length === 0 && flags['--output'] !== 'json') {
    shell.err(isFiltered ? `No instance at ${api.url} matches.` : nothingText(api.url, service));
    return EXIT.done;
  }
  for (const line of listed(view, flags, shell)) shell.out(line);
  return failsOn(flags['--fail-on'], view, shell) ? EXIT.failed : EXIT.done;
}

const nothingText = (url: string, service: string | null): string =>
  service === null ? `No service is registered at ${url}.` : `${service} has no instance now.`;

/** Are the heartbeats shown? */
const hasHeartbeats = (flags: Given): boolean => ['table', 'json'].includes(flags['--output']);

/** What the format has of the instances; on a terminal the first ones, and how many more there are. */
function listed(view: View, flags: Given, shell: Shell): readonly string[] {
  const format = flags['--output'];
  const isForPeople = format === 'table' || format === 'wide';
  const hidden = view.instances.length - MOST_LISTED;
  if (!isForPeople || shell.window() === null || flags['--all'] || hidden <= 0) return LISTS[format](view, shell);
  const sorted = view.isSorted === true ? view.instances : view.instances.toSorted(worstFirst);
  const first = { ...view, instances: sorted.slice(0, MOST_LISTED) };
  const more = `… and ${countText(hidden)} more; narrow it down, or --all`;
  return [...LISTS[format](first, shell), paint([{ text: more }], shell.terminal)];
}

type Given = ReturnType<typeof parseArguments<typeof FLAGS>>['flags'];

/** What else is asked for must fit to what never ends. */
async function staying(flags: Given, service: string | null, shell: Shell): Promise<ExitCode> {
  const format = flags['--output'];
  if (format !== 'table' && format !== 'json') {
    throw new RollcallError('OPTION_INVALID', `--watch shows a table or json; received -o ${format}.`);
  }
  const [filter] = givenFilters(flags);
  if (filter !== undefined) {
    throw new RollcallError('OPTION_INVALID', `--watch shows one service, or all of a namespace: leave out ${filter}.`);
  }
  if (flags['--fail-on'].length > 0) {
    throw new RollcallError(
      'OPTION_INVALID',
      '--watch never ends by itself and --fail-on needs an end: leave out one.',
    );
  }
  const { watchLive } = await import('./watching.js');
  return watchLive({ flags, service, isJson: format === 'json' }, shell);
}

function failsOn(states: readonly State[], { instances }: View, shell: Shell): boolean {
  const failing = instances.filter(({ state }) => states.includes(state));
  if (failing.length === 0) return false;
  const names = shortNames(instances);
  const named = failing.slice(0, MOST_NAMED).map(({ id, state }) => `${names.get(id) ?? id} ${state}`);
  const more = failing.length > MOST_NAMED ? [`and ${countText(failing.length - MOST_NAMED)} more`] : [];
  const who = [...named, ...more].join(', ');
  shell.err(`rollcall ls: ${failing.length} of ${instances.length} in a state of --fail-on: ${who}.`);
  return true;
}

/** The instances of all services that match. */
async function search(api: RegistryApi, service: string | null, flags: Given): Promise<View> {
  if (service !== null) await knownService(api, service);
  const usualSort = flags['--output'] === 'table' ? 'state' : 'service';
  const question = questionOf(flags, { service, withHeartbeats: hasHeartbeats(flags), usualSort });
  const answer = await everyMatch(api, question);
  const view = { url: api.url, isLive: true, heardAt: Date.now(), withNamespaces: flags['--all-namespaces'] };
  return { ...view, ...answer, isSorted: flags['--sort'] !== undefined };
}

async function look(api: RegistryApi, service: string | null, withHeartbeats: boolean): Promise<View> {
  const names = service === null ? await api.services() : await knownService(api, service);
  const answers = await Promise.all(
    (service === null ? names : [service]).map((name) => api.service(name, withHeartbeats)),
  );
  const instances = answers.flatMap((answer) => answer.instances);
  return {
    url: api.url,
    isLive: true,
    heardAt: Date.now(),
    revision: Math.max(0, ...answers.map(({ revision }) => revision)),
    instances,
    heartbeats: new Map(answers.flatMap(({ heartbeats }) => [...heartbeats])),
  };
}

/** The names of all services. Rejects where that one is not among them. */
async function knownService(api: RegistryApi, service: string): Promise<readonly string[]> {
  const names = await api.services();
  if (!names.includes(service)) await refuseUnknown(api, service, names);
  return names;
}

/** A service whose instances have all gone lately is known; else the registry's own word counts, with what was probably meant. */
async function refuseUnknown(api: RegistryApi, service: string, names: readonly string[]): Promise<void> {
  try {
    await api.service(service);
  } catch (error) {
    const meant = nearest(service, names);
    if (!(error instanceof RollcallError) || error.code !== 'REGISTRY_REFUSED' || meant === null) throw error;
    throw new RollcallError('UNKNOWN_SERVICE', `There is no service "${service}". Did you mean ${meant}?`, {
      cause: error,
    });
  }
}

type List = (view: View, shell: Shell) => readonly string[];

const LISTS: Readonly<Record<(typeof FORMATS)[number], List>> = {
  table: (view, { terminal }) => renderTable(view, { ...terminal, now: Date.now(), rows: Infinity }),
  wide: ({ instances, withNamespaces = false }) =>
    aligned([wideHead(withNamespaces), ...instances.map((instance) => wideRow(instance, withNamespaces))]),
  json: ({ url, revision, instances, heartbeats }) => [
    jsonText({
      url,
      revision,
      instances: instances.map((instance) => {
        const { heartbeat1 = null, heartbeat2 = null } = heartbeats.get(instance.id) ?? {};
        return { ...instance, heartbeats: { heartbeat1, heartbeat2 } };
      }),
    }),
  ],
  name: ({ instances }) => instances.map(({ id }) => id),
};

const wideHead = (withNamespaces: boolean): readonly string[] => [
  'STATE',
  'ID',
  'ADDRESSES',
  'VERSION',
  'ZONE',
  'CALLABLE',
  ...(withNamespaces ? ['NAMESPACE'] : []),
  'REASON',
];

function wideRow(instance: Instance, withNamespaces: boolean): readonly string[] {
  const { state, id, endpoints, version, zone, namespace, reason } = instance;
  const addresses = endpoints.map((endpoint) => `${endpoint.protocol}://${addressOf(endpoint)}`);
  return [
    state,
    id,
    addresses.join(','),
    printable(version) || '–',
    zone || '–',
    callableWord(instance),
    ...(withNamespaces ? [namespace] : []),
    printable(reason.text),
  ];
}
