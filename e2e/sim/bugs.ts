import type { RegistryClient } from '@rollcall/client';
import { identityFailure } from '@rollcall/client/testing';
import type { Random, Time } from '@rollcall/core';
import type { ProbeProtocol, Store } from '@rollcall/registry';

/** Where a bug is planted from outside: in what is handed in to the real code. */
export interface Bugs {
  /** The registry's clock. */
  time(time: Time): Time;
  /** How the registry calls. */
  caller(caller: ProbeProtocol): ProbeProtocol;
  /** Where the registry keeps what must survive it. */
  store(store: Store): Store;
  /** A service's chance. */
  random(random: Random): Random;
  /** A service's way to the registry. */
  link(link: RegistryClient): RegistryClient;
  /** How a caller checks who answers. */
  readonly identity: typeof identityFailure;
}

export const noBugs: Bugs = {
  time: (time) => time,
  caller: (caller) => caller,
  store: (store) => store,
  random: (random) => random,
  link: (link) => link,
  identity: identityFailure,
};
