// the parts of a client without sockets, for a simulation that hands in clock, chance and the way to the registry
export { Catalog } from './catalog.js';
export type { ServiceView } from './catalog.js';
export { Contact } from './contact.js';
export { Feed } from './feed.js';
export type { Answer, Link, Proof, Watch, WatchRequest, WatchSink } from './link/link.js';
export { Session } from './session.js';
