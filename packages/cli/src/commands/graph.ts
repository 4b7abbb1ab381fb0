import { option, RollcallError } from '@rollcall/core';
import { ALL_NAMESPACES_FLAG, apiOf, CONNECTION_FLAGS, NAMESPACE_FLAG } from '../registry/connection.js';
import { hasSeveralNamespaces, checkNamespace, unknownServiceText } from '../registry/namespaces.js';
import type { RegistryApi, Whereabouts } from '../registry/registry-api.js';
import { edgesIn, hasOpenCircuit, p99Text, qualified, successText } from '../registry/traffic.js';
import type { Edge } from '../registry/traffic.js';
import { edgeTable } from '../render/edge-table.js';
import { edgesOf } from '../render/watch-traffic.js';
import { describeFlags, parseArguments, toggle, valued } from '../terminal/arguments.js';
import { jsonText } from '../terminal/json-text.js';
import { optionalOperand } from '../terminal/operands.js';
import { paint } from '../terminal/paint.js';
import { EXIT } from '../terminal/shell.js';
import type { Command, ExitCode, Shell } from '../terminal/shell.js';

const FORMATS = ['table', 'mermaid', 'dot', 'json'] as const;
/** Lines of a terminal besides the edges: the head, the number of further ones, and the next prompt. */
const RESERVED_LINES = 3;
const MIN_EDGES = 10;

const FLAGS = {
  '--format': valued(
    option.oneOf(FORMATS, { doc: `${FORMATS.join(' | ')}; default table`, default: 'table' }),
    '<format>',
  ),
  '--all': toggle('on a terminal the table shows as many edges as have room; with this all of them'),
  ...NAMESPACE_FLAG,
  ...ALL_NAMESPACES_FLAG,
  ...CONNECTION_FLAGS,
  '--help': toggle('this text', 'h'),
};

const HELP = `Usage: rollcall graph [service] [options]

The calls between services, as the callers report them, of all services, or only from and to one: for each pair of services calls per
second, success after retries, and the slowest caller's p99. The table has the edges first whose calls fail, then those with an open
circuit; ELSEWHERE counts attempts that went to another instance. Mermaid and dot draw an edge dashed where a circuit is open.

${describeFlags(FLAGS).join('\n')}

Examples:
  rollcall graph                                  # the worst edges first
  rollcall graph orders                           # the calls to it and from it
  rollcall graph --format mermaid > calls.mmd     # for a page of Markdown
  rollcall graph --format dot | dot -Tsvg > calls.svg
  rollcall graph --format json | jq '.edges[].to'`;

/** `rollcall graph`: the calls between services, as a table or for programs that draw them. */
export const graph: Command = { help: HELP, run };

async function run(argv: readonly string[], shell: Shell): Promise<ExitCode> {
  const { flags, operands } = parseArguments(FLAGS, argv);
  const service = optionalOperand('graph', 'service', operands);
  const api = await apiOf(flags, shell.env);
  const [topology, known] = await Promise.all([api.topology(), api.everywhere()]);
  checkNamespace(api, known);
  const all = edgesIn(topology);
  const edges = service === null ? all : edgesOf(all, service);
  if (service !== null && edges.length === 0) checkService(service, api, known);
  const hasNamespaces = flags['--all-namespaces'] && hasSeveralNamespaces(known);
  const drawn = hasNamespaces ? edges.map(qualified) : edges;
  const format = flags['--format'];
  if (format === 'json') shell.out(jsonText({ edges }));
  else if (format === 'table') printTable(edges, { hasNamespaces, isAll: flags['--all'] }, shell);
  else shell.out((format === 'dot' ? dot : mermaid)(drawn));
  if (edges.length === 0) shell.err(nothingText(service));
  return EXIT.done;
}

function printTable(
  edges: readonly Edge[],
  { hasNamespaces, isAll }: { readonly hasNamespaces: boolean; readonly isAll: boolean },
  shell: Shell,
): void {
  const window = shell.window();
  const width = window?.width ?? Infinity;
  const maxEdges = window === null || isAll ? Infinity : Math.max(MIN_EDGES, window.height - RESERVED_LINES);
  if (edges.length === 0) return;
  for (const text of edgeTable(edges, { hasNamespaces, width, maxEdges })) {
    shell.out(paint([{ text }], { ...shell.terminal, width }));
  }
}

/** Throws UNKNOWN_SERVICE for an unknown service: a known one may have no calls. */
function checkService(service: string, api: RegistryApi, known: readonly Whereabouts[]): void {
  const isThere = known.some(
    ({ name, namespace }) => name === service && (api.namespace === '*' || namespace === api.namespace),
  );
  if (!isThere) throw new RollcallError('UNKNOWN_SERVICE', unknownServiceText(service, api, known));
}

function nothingText(service: string | null): string {
  const what = service === null ? 'a call' : `a call to or from ${service}`;
  return `No caller has reported ${what} recently: services report their calls every few seconds.`;
}

const labelOf = (edge: Edge): string => `${edge.perSecond.toFixed(1)}/s ${successText(edge)} ${p99Text(edge)}`;

/**
 * https://mermaid.js.org/syntax/flowchart.html. Names of services are DNS labels, but some, such as `end`, are
 * keywords: so nodes are numbered.
 */
export function mermaid(edges: readonly Edge[]): string {
  const names = namesIn(edges);
  const nodes = names.map((name, index) => `  n${index}["${name}"]`);
  const lines = edges.map((edge) => {
    const arrow = hasOpenCircuit(edge) ? '-.->' : '-->';
    return `  n${names.indexOf(edge.from)} ${arrow}|"${labelOf(edge)}"| n${names.indexOf(edge.to)}`;
  });
  return ['flowchart LR', ...nodes, ...lines].join('\n');
}

/** https://graphviz.org/doc/info/lang.html */
export function dot(edges: readonly Edge[]): string {
  const lines = edges.map((edge) => {
    const style = hasOpenCircuit(edge) ? ', style=dashed' : '';
    return `  "${edge.from}" -> "${edge.to}" [label="${labelOf(edge)}"${style}];`;
  });
  const nodes = namesIn(edges).map((name) => `  "${name}";`);
  return ['digraph rollcall {', '  rankdir=LR;', ...nodes, ...lines, '}'].join('\n');
}

const namesIn = (edges: readonly Edge[]): readonly string[] =>
  [...new Set(edges.flatMap(({ from, to }) => [from, to]))].toSorted();
