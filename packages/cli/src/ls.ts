import { addressOf, option, RollcallError, STATES } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import { describeFlags, parseArguments, repeated, toggle, valued } from './arguments.js';
import { ALL_NAMESPACES_FLAG, apiOf, CONNECTION_FLAGS, NAMESPACE_FLAG } from './connection.js';
import { jsonText } from './json-text.js';
import { areSeveral, checkNamespace, namesOf, nobodyText, unknownServiceText } from './namespaces.js';
import { onlyWord } from './operands.js';
import { countsOf, outagesIn, outageText, shortageLines } from './outages.js';
import type { RegistryApi, Whereabouts } from './registry-api.js';
import { EXIT } from './shell.js';
import type { Command, ExitCode, Shell } from './shell.js';
import { renderTable } from './view.js';
import type { View } from './view.js';
import { aligned, printable } from './words.js';

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
  ...NAMESPACE_FLAG,
  ...ALL_NAMESPACES_FLAG,
  ...CONNECTION_FLAGS,
  '--help': toggle('this text', 'h'),
};

const HELP = `Usage: rollcall ls [service] [options]

The instances that the registry knows, of one service or of all, worst first: state, both heartbeats, since when, why, and what
comes next. →1 is Heartbeat-1 (the registry calls: round trip), ←2 is Heartbeat-2 (the instance calls: last arrival).

${describeFlags(FLAGS).join('\n')}

Formats: wide adds the whole id, the addresses, the version and the admin state; json is one object, { url, revision, services, instances },
each service with how many of its instances are callable, each instance with its heartbeats; name is one id per line.

Examples:
  rollcall ls
  rollcall ls orders -o wide
  rollcall ls --fail-on CRITICAL --fail-on UNHEALTHY   # for a script that deploys
  rollcall ls -o json | jq -r '.instances[] | select(.state == "CRITICAL").id'`;

/** `rollcall ls`: what the registry knows, once. */
export const ls: Command = { help: HELP, run };

async function run(argv: readonly string[], shell: Shell): Promise<ExitCode> {
  const { flags, words } = parseArguments(FLAGS, argv);
  const service = onlyWord('ls', 'service', words);
  if (flags['--watch']) return staying(flags, service, shell);
  const api = await apiOf(flags, shell.env);
  const known = await api.everywhere();
  checkNamespace(api, known);
  const view = await look(api, { service, known, withHeartbeats: ['table', 'json'].includes(flags['--output']) });
  if (view.instances.length === 0 && flags['--output'] !== 'json') {
    shell.err(service === null ? nobodyText(api, known) : `${service} has no instance now.`);
    return EXIT.done;
  }
  for (const line of LISTS[flags['--output']](view, shell)) shell.out(line);
  return failsOn(flags['--fail-on'], view, shell) ? EXIT.failed : EXIT.done;
}

type Given = ReturnType<typeof parseArguments<typeof FLAGS>>['flags'];

/** What else is asked for must fit to what never ends. */
async function staying(flags: Given, service: string | null, shell: Shell): Promise<ExitCode> {
  const format = flags['--output'];
  if (format !== 'table' && format !== 'json') {
    throw new RollcallError('OPTION_INVALID', `--watch shows a table or json; received -o ${format}.`);
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

function failsOn(fails: readonly Fail[], { instances, hasNamespaces = false }: View, shell: Shell): boolean {
  const counts = countsOf(instances, hasNamespaces);
  const isOut = fails.length > 0 && outagesIn(counts).length > 0;
  if (isOut) shell.err(`rollcall ls: ${outageText(counts)}`);
  const states: readonly string[] = fails;
  const failing = instances.filter(({ state }) => states.includes(state));
  if (failing.length === 0) return isOut;
  const names = namesOf(instances, hasNamespaces);
  const listed = failing.map(({ id, state }) => `${names.get(id) ?? id} ${state}`);
  shell.err(`rollcall ls: ${failing.length} of ${instances.length} in a state of --fail-on: ${listed.join(', ')}.`);
  return true;
}

interface Wanted {
  /** Null: all. */
  readonly service: string | null;
  /** In all namespaces. */
  readonly known: readonly Whereabouts[];
  readonly withHeartbeats: boolean;
}

async function look(api: RegistryApi, { service, known, withHeartbeats }: Wanted): Promise<View> {
  const here = known.filter(({ namespace }) => api.namespace === '*' || namespace === api.namespace);
  const names = [...new Set(here.map(({ name }) => name))];
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
  table: (view, { terminal }) => [
    ...shortageLines(view.instances, view.hasNamespaces),
    ...renderTable(view, { ...terminal, now: Date.now(), rows: Infinity }),
  ],
  wide: ({ instances, hasNamespaces = false }) =>
    aligned([wideRow(WIDE_HEAD, hasNamespaces), ...instances.map((one) => wideRow(wideCells(one), hasNamespaces))]),
  json: ({ url, revision, instances, heartbeats }) => [
    jsonText({
      url,
      revision,
      services: [...countsOf(instances)].map(([name, { all, callable, admin }]) => ({
        name,
        instances: all,
        callable,
        admin,
      })),
      instances: instances.map((instance) => {
        const { heartbeat1 = null, heartbeat2 = null } = heartbeats.get(instance.id) ?? {};
        return { ...instance, heartbeats: { heartbeat1, heartbeat2 } };
      }),
    }),
  ],
  name: ({ instances }) => instances.map(({ id }) => id),
};

const WIDE_HEAD = ['STATE', 'NAMESPACE', 'ID', 'ADDRESSES', 'VERSION', 'ADMIN', 'REASON'];

const wideRow = ([state = '', namespace = '', ...rest]: readonly string[], hasNamespaces: boolean): readonly string[] =>
  hasNamespaces ? [state, namespace, ...rest] : [state, ...rest];

function wideCells({ admin, state, namespace, id, endpoints, version, reason }: Instance): readonly string[] {
  const addresses = endpoints.map((endpoint) => `${endpoint.protocol}://${addressOf(endpoint)}`);
  const versionText = version === '' ? '–' : printable(version);
  return [state, namespace, id, addresses.join(','), versionText, admin, printable(reason.text)];
}
