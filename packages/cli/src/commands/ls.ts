import { option, RollcallError, STATES } from '@rollcall/core';
import type { InstanceId } from '@rollcall/core';
import { ALL_NAMESPACES_FLAG, apiOf, CONNECTION_FLAGS, NAMESPACE_FLAG } from '../registry/connection.js';
import {
  hasSeveralNamespaces,
  checkNamespace,
  namesOf,
  emptyListText,
  otherNamespacesText,
  unknownServiceText,
} from '../registry/namespaces.js';
import type { RegistryApi, Whereabouts } from '../registry/registry-api.js';
import { edgesIn, openCircuits } from '../registry/traffic.js';
import {
  checkZones,
  fetchMatches,
  FILTER_FLAGS,
  givenFilters,
  isSelected,
  isSelective,
  instancesQuery,
} from '../render/instance-filters.js';
import type { View } from '../render/instance-table.js';
import { FORMATS, renderListing, MAX_LISTED } from '../render/listing.js';
import { countsOf, outagesIn, outageText } from '../render/outages.js';
import { awayTerms } from '../render/override-terms.js';
import { describeFlags, parseArguments, repeated, toggle, valued } from '../terminal/arguments.js';
import { optionalOperand } from '../terminal/operands.js';
import { EXIT } from '../terminal/shell.js';
import type { Command, ExitCode, Shell } from '../terminal/shell.js';
import { countText } from '../terminal/texts.js';

/** The maximum number of instances in an error. */
const MAX_NAMED = 20;

/** `NOT_CALLABLE`: a service has instances, and callers may call none of them. */
const FAIL_CONDITIONS = [...STATES, 'NOT_CALLABLE'] as const;
type FailCondition = (typeof FAIL_CONDITIONS)[number];

const FLAGS = {
  '--output': valued(
    option.oneOf(FORMATS, { doc: `${FORMATS.join(' | ')}; default table`, default: 'table' }),
    '<format>',
    'o',
  ),
  '--watch': toggle('stay, and show what changes: as rollcall watch, and with -o json as rollcall watch --json', 'w'),
  '--fail-on': repeated(
    option.list({
      doc: `exit with ${EXIT.failed} if an instance is in this state (${STATES.join(', ')}), or no instance of a service may be called (NOT_CALLABLE: only then); may be repeated`,
      item: option.oneOf(FAIL_CONDITIONS, { doc: 'a state, or NOT_CALLABLE' }),
      default: [],
    }),
    '<state>',
  ),
  ...FILTER_FLAGS,
  '--all': toggle(
    `show all instances on a terminal, which otherwise shows at most ${MAX_LISTED}, with one line for HEALTHY ones if the table is too high`,
  ),
  ...NAMESPACE_FLAG,
  ...ALL_NAMESPACES_FLAG,
  ...CONNECTION_FLAGS,
  '--help': toggle('this text', 'h'),
};

const HELP = `Usage: rollcall ls [service] [options]

The registered instances, of one service or of all, worst first: state, both heartbeats, since when, why, and what
comes next. →1 is Heartbeat-1 (the registry calls: round trip), ←2 is Heartbeat-2 (the instance calls: last arrival).

${describeFlags(FLAGS).join('\n')}

CALLABLE says whether callers may call the instance. Several filters select what all of them select; a repeated one what one
of its values selects.

Formats: wide adds the whole id, the addresses, the version, the admin state, the zone, the weight and how many circuits to the instance
are not closed; json is one object, { url, revision, services,
instances }, each service with how many of its instances are callable (left out where a filter lets only some instances through), each
instance with its heartbeats, with the operator who keeps it from callers and the reason (adminTerms), and with the number of open circuits to it (circuitsOpen); name is one id per line. A pipe or a file gets all of them, page by page.

Examples:
  rollcall ls
  rollcall ls orders -o wide
  rollcall ls --state CRITICAL --state UNHEALTHY --all-namespaces
  rollcall ls --callable no --zone eu-1a --sort since
  rollcall ls -A --circuit open
  rollcall ls -A --weight 0
  rollcall ls --fail-on CRITICAL --fail-on UNHEALTHY   # for a script that deploys
  rollcall ls --version 1.4.2 -o json | jq -r '.instances[].id'`;

/** `rollcall ls`: lists the registered instances once. */
export const ls: Command = { help: HELP, run };

async function run(argv: readonly string[], shell: Shell): Promise<ExitCode> {
  const { flags, operands } = parseArguments(FLAGS, argv);
  const service = optionalOperand('ls', 'service', operands);
  if (flags['--watch']) return watchList(flags, service, shell);
  const fails: readonly FailCondition[] = flags['--fail-on'];
  if (isSelective(flags) && fails.includes('NOT_CALLABLE')) {
    const text = '--fail-on NOT_CALLABLE is about whole services: leave out the filters of instances.';
    throw new RollcallError('OPTION_INVALID', text);
  }
  const api = await apiOf(flags, shell.env);
  const known = await api.everywhere();
  checkNamespace(api, known);
  const isFiltered = givenFilters(flags).length > 0;
  const format = flags['--output'];
  const scope = { service, known, withHeartbeats: ['table', 'json'].includes(format) };
  const open = await circuitsFor(api, flags);
  const found = isFiltered ? await searchInstances(api, scope, { flags, open }) : await fetchServices(api, scope);
  if (found.instances.length === 0) await checkZones(api, flags['--zone']);
  if (found.instances.length === 0 && format !== 'json') {
    shell.err(isFiltered ? `No instance at ${api.url} matches.` : nothingText(api, scope));
    return EXIT.done;
  }
  const view = format === 'name' ? found : { ...found, away: await awayTerms(api, found.instances) };
  const listing = { view, format, isAll: flags['--all'], isOneService: service !== null, open };
  for (const line of renderListing(listing, shell)) shell.out(line);
  printOtherNamespaces({ flags, api, scope }, shell);
  return checkFailOn(fails, view, shell) ? EXIT.failed : EXIT.done;
}

/** The number of circuits to each instance that are not closed; null: unknown, and not requested. */
async function circuitsFor(api: RegistryApi, flags: ListFlags): Promise<ReadonlyMap<InstanceId, number> | null> {
  if (flags['--circuit'] !== undefined) return openCircuits(edgesIn(await api.topology()));
  if (!['wide', 'json'].includes(flags['--output'])) return null;
  const topology = await api.topology().catch(() => null);
  return topology === null ? null : openCircuits(edgesIn(topology));
}

interface ListRequest {
  readonly flags: ListFlags;
  readonly api: RegistryApi;
  readonly scope: ListScope;
}

/** Printed below a list of all services of the default namespace; on standard error unless standard output is a terminal. */
function printOtherNamespaces({ flags, api, scope: { service, known } }: ListRequest, shell: Shell): void {
  if (service !== null || flags['--namespace'] !== undefined || !['table', 'wide'].includes(flags['--output'])) return;
  const text = otherNamespacesText(api.namespace, known);
  if (text === '') return;
  if (shell.window() === null) shell.err(text);
  else shell.out(text);
}

const nothingText = (api: RegistryApi, { service, known }: ListScope): string =>
  service === null ? emptyListText(api, known) : `${service} has no instance now.`;

type ListFlags = ReturnType<typeof parseArguments<typeof FLAGS>>['flags'];

/** Checks that the other options are compatible with --watch. */
async function watchList(flags: ListFlags, service: string | null, shell: Shell): Promise<ExitCode> {
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
  const { watchLive } = await import('../render/watch-live.js');
  return watchLive({ flags, service, isJson: format === 'json' }, shell);
}

function checkFailOn(
  fails: readonly FailCondition[],
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
  const named = failing.slice(0, MAX_NAMED).map(({ id, state }) => `${names.get(id) ?? id} ${state}`);
  const hidden = failing.length > MAX_NAMED ? [`and ${countText(failing.length - MAX_NAMED)} more`] : [];
  const texts = [...named, ...hidden].join(', ');
  shell.err(`rollcall ls: ${failing.length} of ${instances.length} in a state of --fail-on: ${texts}.`);
  return true;
}

interface ListScope {
  /** Null: all. */
  readonly service: string | null;
  /** In all namespaces. */
  readonly known: readonly Whereabouts[];
  readonly withHeartbeats: boolean;
}

/** The instances of all services that match. */
async function searchInstances(
  api: RegistryApi,
  { service, known, withHeartbeats }: ListScope,
  { flags, open }: { readonly flags: ListFlags; readonly open: ReadonlyMap<InstanceId, number> | null },
): Promise<View> {
  if (service !== null && !servicesIn(api, known).includes(service)) await refuseUnknown(api, service, known);
  const answer = await fetchMatches(api, instancesQuery(flags, { service, withHeartbeats }));
  return {
    url: api.url,
    isLive: true,
    lastMessageAt: Date.now(),
    hasNamespaces: hasSeveralNamespaces(known),
    isSorted: flags['--sort'] !== undefined,
    isPartial: isSelective(flags),
    ...answer,
    instances: answer.instances.filter((instance) => isSelected(instance, flags, open ?? new Map())),
  };
}

/** The names of services in the requested namespace. */
function servicesIn(api: RegistryApi, known: readonly Whereabouts[]): readonly string[] {
  const here = known.filter(({ namespace }) => api.namespace === '*' || namespace === api.namespace);
  return [...new Set(here.map(({ name }) => name))];
}

async function fetchServices(api: RegistryApi, { service, known, withHeartbeats }: ListScope): Promise<View> {
  const names = servicesIn(api, known);
  if (service !== null && !names.includes(service)) await refuseUnknown(api, service, known);
  const answers = await Promise.all(
    (service === null ? names : [service]).map((name) => api.service(name, withHeartbeats)),
  );
  const instances = answers.flatMap((answer) => answer.instances);
  return {
    url: api.url,
    isLive: true,
    lastMessageAt: Date.now(),
    revision: Math.max(0, ...answers.map(({ revision }) => revision)),
    instances,
    hasNamespaces: hasSeveralNamespaces(known),
    heartbeats: new Map(answers.flatMap(({ heartbeats }) => [...heartbeats])),
  };
}

/**
 * A service whose instances were all removed recently is known; else the error names the registry's answer and a likely
 * name.
 */
async function refuseUnknown(api: RegistryApi, service: string, known: readonly Whereabouts[]): Promise<void> {
  try {
    await api.service(service);
  } catch (error) {
    if (!(error instanceof RollcallError) || error.code !== 'REGISTRY_REFUSED') throw error;
    throw new RollcallError('UNKNOWN_SERVICE', unknownServiceText(service, api, known), { cause: error });
  }
}
