// The pieces of the command, for programs that show the same.
export { describeFlags, parseArguments, toggle, valued } from './terminal/arguments.js';
export type { Arguments, Flag, Flags } from './terminal/arguments.js';
export type { Direction, Heartbeats } from './registry/heartbeats.js';
export { InPlace } from './render/in-place.js';
export { Overview } from './registry/overview.js';
export type { InstanceChange, OverviewParts } from './registry/overview.js';
export { paint } from './terminal/paint.js';
export type { Look, Span } from './terminal/paint.js';
export type { Json } from './registry/json.js';
export { RegistryApi } from './registry/registry-api.js';
export type {
  InstancesPage,
  Parameter,
  RegistryApiOptions,
  ServiceAnswer,
  Whereabouts,
} from './registry/registry-api.js';
export type { FetchAnswer, Fetcher } from './registry/node-fetch.js';
export { terminalOf, windowOf } from './terminal/shell.js';
export type { Output, Shell, Terminal, Window } from './terminal/shell.js';
export { edgesIn, successText, sumOf } from './registry/traffic.js';
export type { CallsSum, Edge, Target } from './registry/traffic.js';
export { renderTable } from './render/instance-table.js';
export type { Screen, View } from './render/instance-table.js';
export { renderChange, renderView } from './render/view.js';
export { clockText, countText, printable, shortNames, tripText } from './terminal/texts.js';
