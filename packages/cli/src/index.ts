// The pieces of the command, for programs that show the same.
export { describeFlags, parseArguments, toggle, valued } from './arguments.js';
export type { Arguments, Flag, Flags } from './arguments.js';
export type { Direction, Heartbeats } from './heartbeats.js';
export { InPlace } from './in-place.js';
export { Overview } from './overview.js';
export type { InstanceChange, OverviewParts } from './overview.js';
export { paint } from './paint.js';
export type { Look, Span } from './paint.js';
export { RegistryApi } from './registry-api.js';
export type { Json, RegistryApiOptions, ServiceAnswer } from './registry-api.js';
export type { FetchAnswer, Fetcher } from './node-fetch.js';
export { terminalOf, windowOf } from './shell.js';
export type { Output, Shell, Terminal, Window } from './shell.js';
export { edgesIn, successText, sumOf } from './traffic.js';
export type { CallsSum, Edge, Target } from './traffic.js';
export { renderChange, renderTable, renderView } from './view.js';
export type { Screen, View } from './view.js';
export { clockText, countText, printable, shortNames, tripText } from './words.js';
