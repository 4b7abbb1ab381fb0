import { addressOf, option, RollcallError, STATES } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import { ALL_NAMESPACES_FLAG, apiOf, CONNECTION_FLAGS, NAMESPACE_FLAG } from '../registry/connection.js';
import { areSeveral, checkNamespace, namesOf, nobodyText, unknownServiceText } from '../registry/namespaces.js';
import type { RegistryApi, Whereabouts } from '../registry/registry-api.js';
import { everyMatch, FILTER_FLAGS, givenFilters, isSelective, questionOf } from '../render/instance-filters.js';
import { callableWord, renderTable, worstFirst } from '../render/instance-table.js';
import type { View } from '../render/instance-table.js';
import { countsOf, outagesIn, outageText, shortageLines } from '../render/outages.js';
import { awayTerms } from '../render/override-terms.js';
import { describeFlags, parseArguments, repeated, toggle, valued } from '../terminal/arguments.js';
import { jsonText } from '../terminal/json-text.js';
import { onlyWord } from '../terminal/operands.js';
import { paint } from '../terminal/paint.js';
import { EXIT } from '../terminal/shell.js';
import type { Command, ExitCode, Shell } from '../terminal/shell.js';
import { aligned, countText, printable } from '../terminal/words.js';

/** Of more instances a terminal shows the first so many: the others would scroll them away. */
const MOST_LISTED = 200;
/** Services, of which not all instances are callable, that are named above the table. */
const MOST_SHORTAGES = 10;
/** Instances that are named in a complaint. */
const MOST_NAMED = 20;

const FORMATS = ['table', 'wide', 'json', 'name'] as const;

/** `NOT_CALLABLE`: a service has instances, and callers may call none of them. */
const FAILS = [...STATES, 'NOT_CALLABLE'] as const;
type Fail = (typeof FAILS)[number];

const FLAGS = {
  '--output': valued(
    option.oneOf(FORMATS, { doc: `${FORMATS.join(' | ')}; default table`, default: 'table' }),
    '<format>',
    'o',
  ),
  '--watch': toggle('stay, and show what changes: as rollcall watch, and with -o json as rollcall watch --json', 'w'),
  '--fail-on': repeated(
    option.list({
      doc: `exit with ${EXIT.failed} if an instance is in this state (${STATES.join(', ')}), or nobody of a service may be called (NOT_CALLABLE: only then); may be repeated`,
      item: option.oneOf(FAILS, { doc: 'a state, or NOT_CALLABLE' }),
      default: [],
    }),
    '<state>',
  ),
  ...FILTER_FLAGS,
  '--all': toggle(`on a terminal the table and wide show ${MOST_LISTED} instances at most; with this all of them`),
  ...NAMESPACE_FLAG,
  ...ALL_NAMESPACES_FLAG,
  ...CONNECTION_FLAGS,
  '--help': toggle('this text', 'h'),
};

const HELP = `Usage: rollcall ls [service] [options]

The instances that the registry knows, of one service or of all, worst first: state, both heartbeats, since when, why, and what
comes next. →1 is Heartbeat-1 (the registry calls: round trip), ←2 is Heartbeat-2 (the instance calls: last arrival).

${describeFlags(FLAGS).join('\n')}

CALLABLE says whether callers may call the instance. Several filters let through what all of them let through; a repeated one what one
of its values lets through.

Formats: wide adds the whole id, the addresses, the version, the admin state and the zone; json is one object, { url, revision, services,
instances }, each service with how many of its instances are callable (left out where a filter lets only some instances through), each
instance with its heartbeats; name is one id per line. A pipe or a file gets all of them, page by page.

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
  const fails: readonly Fail[] = flags['--fail-on'];
  if (isSelective(flags) && fails.includes('NOT_CALLABLE')) {
    const text = '--fail-on NOT_CALLABLE is about whole services: leave out the filters of instances.';
    throw new RollcallError('OPTION_INVALID', text);
  }
  const api = await apiOf(flags, shell.env);
  const known = await api.everywhere();
  checkNamespace(api, known);
  const isFiltered = givenFilters(flags).length > 0;
  const wanted = { service, known, withHeartbeats: ['table', 'json'].includes(flags['--output']) };
  const found = isFiltered ? await search(api, wanted, flags) : await look(api, wanted);
  const view = flags['--output'] === 'table' ? { ...found, away: await awayTerms(api, found.instances) } : found;
  if (view.instances.length === 0 && flags['--output'] !== 'json') {
    shell.err(isFiltered ? `No instance at ${api.url} matches.` : nothingText(api, wanted));
    return EXIT.done;
  }
  for (const line of listed(view, flags, shell)) shell.out(line);
  return failsOn(fails, view, shell) ? EXIT.failed : EXIT.done;
}

const nothingText = (api: RegistryApi, { service, known }: Wanted): string =>
  service === null ? nobodyText(api, known) : `${service} has no instance now.`;

/** What the format has of the instances; on a terminal the first ones, and how many more there are. */
function listed(view: View, flags: Given, shell: Shell): readonly string[] {
  const format = flags['--output'];
  const list = LISTS[format];
  if (format !== 'table' && format !== 'wide') return list(view, shell);
  const { instances, hasNamespaces } = view;
  const width = shell.window()?.width ?? Infinity;
  const painted = (text: string): string => paint([{ text }], { ...shell.terminal, width });
  const isWhole = shell.window() === null || flags['--all'];
  const most = isWhole ? Infinity : MOST_SHORTAGES;
  const hasShortages = format === 'table' && view.isPartial !== true;
  const shortages = hasShortages ? shortageLines(instances, { hasNamespaces, width, most }) : [];
  const head = shortages.map(painted);
  const hidden = instances.length - MOST_LISTED;
  if (isWhole || hidden <= 0) return [...head, ...list(view, shell)];
  const sorted = view.isSorted === true ? instances : worstFirst(instances, view.isPartial === true ? [] : instances);
  // a name that is unique among those that are shown alone may mean several
  const names = namesOf(instances, hasNamespaces === true);
  const first = list({ ...view, isSorted: true, names, instances: sorted.slice(0, MOST_LISTED) }, shell);
  return [...head, ...first, painted(`… and ${countText(hidden)} more; narrow it down, or --all`)];
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
  const { watchLive } = await import('../render/watching.js');
  return watchLive({ flags, service, isJson: format === 'json' }, shell);
}

function failsOn(
  fails: readonly Fail[],
  { instances, hasNamespaces = false, isPartial = false }: View,
  shell: Shell,
): boolean {
  const counts = countsOf(instances, hasNamespaces);
  const isOut = !isPartial && fails.length > 0 && outagesIn(counts).length > 0;
  if (isOut) shell.err(`rollcall ls: ${outageText(counts)}`);
  const states: readonly string[] = fails;
  const failing = instances.filter(({ state }) => states.includes(state));
  if (failing.length === 0) return isOut;
  const names = namesOf(instances, hasNamespaces);
  const named = failing.slice(0, MOST_NAMED).map(({ id, state }) => `${names.get(id) ?? id} ${state}`);
  const more = failing.length > MOST_NAMED ? [`and ${countText(failing.length - MOST_NAMED)} more`] : [];
  const who = [...named, ...more].join(', ');
  shell.err(`rollcall ls: ${failing.length} of ${instances.length} in a state of --fail-on: ${who}.`);
  return true;
}

interface Wanted {
  /** Null: all. */
  readonly service: string | null;
  /** In all namespaces. */
  readonly known: readonly Whereabouts[];
  readonly withHeartbeats: boolean;
}

/** The instances of all services that match. */
async function search(api: RegistryApi, { service, known, withHeartbeats }: Wanted, flags: Given): Promise<View> {
  if (service !== null && !servicesIn(api, known).includes(service)) await refuseUnknown(api, service, known);
  const answer = await everyMatch(api, questionOf(flags, { service, withHeartbeats }));
  return {
    url: api.url,
    isLive: true,
    heardAt: Date.now(),
    hasNamespaces: areSeveral(known),
    isSorted: flags['--sort'] !== undefined,
    isPartial: isSelective(flags),
    ...answer,
  };
}

/** The names of services in the namespace that is asked for. */
function servicesIn(api: RegistryApi, known: readonly Whereabouts[]): readonly string[] {
  const here = known.filter(({ namespace }) => api.namespace === '*' || namespace === api.namespace);
  return [...new Set(here.map(({ name }) => name))];
}

async function look(api: RegistryApi, { service, known, withHeartbeats }: Wanted): Promise<View> {
  const names = servicesIn(api, known);
  if (service !== null && !names.includes(service)) await refuseUnknown(api, service, known);
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
    hasNamespaces: areSeveral(known),
    heartbeats: new Map(answers.flatMap(({ heartbeats }) => [...heartbeats])),
  };
}

/** A service whose instances have all gone lately is known; else the registry's own word counts, with what was probably meant. */
async function refuseUnknown(api: RegistryApi, service: string, known: readonly Whereabouts[]): Promise<void> {
  try {
    await api.service(service);
  } catch (error) {
    if (!(error instanceof RollcallError) || error.code !== 'REGISTRY_REFUSED') throw error;
    throw new RollcallError('UNKNOWN_SERVICE', unknownServiceText(service, api, known), { cause: error });
  }
}

type List = (view: View, shell: Shell) => readonly string[];

const LISTS: Readonly<Record<(typeof FORMATS)[number], List>> = {
  table: (view, { terminal }) => renderTable(view, { ...terminal, now: Date.now(), rows: Infinity }),
  wide: ({ instances, hasNamespaces = false }) =>
    aligned([wideRow(WIDE_HEAD, hasNamespaces), ...instances.map((one) => wideRow(wideCells(one), hasNamespaces))]),
  json: ({ url, revision, instances, heartbeats, isPartial = false }) => [
    jsonText({
      url,
      revision,
      ...(isPartial ? {} : { services: servicesOf(instances) }),
      instances: instances.map((instance) => {
        const { heartbeat1 = null, heartbeat2 = null } = heartbeats.get(instance.id) ?? {};
        return { ...instance, heartbeats: { heartbeat1, heartbeat2 } };
      }),
    }),
  ],
  name: ({ instances }) => instances.map(({ id }) => id),
};

/** Services of one name in two namespaces are two. */
function servicesOf(instances: readonly Instance[]): readonly object[] {
  return [...countsOf(instances, true)].map(([key, { all, callable, admin }]) => {
    const [namespace, name] = key.split('/');
    return { namespace, name, instances: all, callable, admin };
  });
}

const WIDE_HEAD = ['STATE', 'NAMESPACE', 'ID', 'ADDRESSES', 'VERSION', 'ADMIN', 'ZONE', 'CALLABLE', 'REASON'];

const wideRow = ([state = '', namespace = '', ...rest]: readonly string[], hasNamespaces: boolean): readonly string[] =>
  hasNamespaces ? [state, namespace, ...rest] : [state, ...rest];

function wideCells(instance: Instance): readonly string[] {
  const { admin, state, namespace, id, endpoints, version, zone, reason } = instance;
  const addresses = endpoints.map((endpoint) => `${endpoint.protocol}://${addressOf(endpoint)}`);
  const versionText = version === '' ? '–' : printable(version);
  const facts = [versionText, admin, zone || '–', callableWord(instance)];
  return [state, namespace, id, addresses.join(','), ...facts, printable(reason.text)];
}
