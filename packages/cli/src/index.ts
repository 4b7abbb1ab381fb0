// The pieces of the command, for programs that show the same.
export { describeFlags, parseArguments, toggle, valued } from './arguments.js';
export type { Arguments, Flag, Flags } from './arguments.js';
export type { Direction, Heartbeats } from './heartbeats.js';
export { Overview } from './overview.js';
export type { InstanceChange, OverviewParts } from './overview.js';
export { RegistryApi } from './registry-api.js';
export { terminalOf } from './shell.js';
export type { Terminal } from './shell.js';
export { renderChange, renderTable, renderView } from './view.js';
export type { Screen, View } from './view.js';
export { shortNames } from './words.js';
