import { option } from '@rollcall/core';
import { ALL_NAMESPACES_FLAG, apiOf, CONNECTION_FLAGS, NAMESPACE_FLAG } from '../registry/connection.js';
import { areSeveral, checkNamespace } from '../registry/namespaces.js';
import { edgesIn, hasOpenCircuit, p99Text, successText } from '../registry/traffic.js';
import type { Edge } from '../registry/traffic.js';
import { describeFlags, parseArguments, toggle, valued } from '../terminal/arguments.js';
import { jsonText } from '../terminal/json-text.js';
import { neededWords } from '../terminal/operands.js';
import { EXIT } from '../terminal/shell.js';
import type { Command, ExitCode, Shell } from '../terminal/shell.js';

const FORMATS = ['mermaid', 'dot', 'json'] as const;

const FLAGS = {
  '--format': valued(
    option.oneOf(FORMATS, { doc: `${FORMATS.join(' | ')}; default mermaid`, default: 'mermaid' }),
    '<format>',
  ),
  ...NAMESPACE_FLAG,
  ...ALL_NAMESPACES_FLAG,
  ...CONNECTION_FLAGS,
  '--help': toggle('this text', 'h'),
};

const HELP = `Usage: rollcall graph [options]

Who calls whom, as the callers tell it: for each pair of services calls a second, success after retries, and the slowest caller's p99. An edge
is dashed where a circuit is open.

${describeFlags(FLAGS).join('\n')}

Examples:
  rollcall graph > calls.mmd                      # for a page of Markdown
  rollcall graph --format dot | dot -Tsvg > calls.svg
  rollcall graph --format json | jq '.edges[].to'`;

/** `rollcall graph`: who calls whom, for other programs to draw. */
export const graph: Command = { help: HELP, run };

async function run(argv: readonly string[], shell: Shell): Promise<ExitCode> {
  const { flags, words } = parseArguments(FLAGS, argv);
  neededWords('graph [options]', words, 0);
  const api = await apiOf(flags, shell.env);
  const [topology, known] = await Promise.all([api.topology(), api.everywhere()]);
  checkNamespace(api, known);
  const edges = edgesIn(topology);
  const drawn = flags['--all-namespaces'] && areSeveral(known) ? edges.map(qualified) : edges;
  if (flags['--format'] === 'json') shell.out(jsonText({ edges }));
  else shell.out((flags['--format'] === 'dot' ? dot : mermaid)(drawn));
  if (edges.length === 0) shell.err('No caller has told of a call lately: services tell of theirs every few seconds.');
  return EXIT.done;
}

/** The same calls, with names that begin with their namespace. */
const qualified = (edge: Edge): Edge => ({
  ...edge,
  from: `${edge.namespace}/${edge.from}`,
  to: `${edge.namespace}/${edge.to}`,
});

const labelOf = (edge: Edge): string => `${edge.perSecond.toFixed(1)}/s ${successText(edge)} ${p99Text(edge)}`;

/** https://mermaid.js.org/syntax/flowchart.html. Names of services are DNS labels, but words such as `end` are its own: so numbers. */
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
