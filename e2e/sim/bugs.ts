import type { RegistryClient } from '@rollcall/client';
import { identityFailure } from '@rollcall/client/testing';
import type { Random, Time } from '@rollcall/core';
import type { ProbeProtocol, Store } from '@rollcall/registry';

/** Replacements for what is passed in to the real code, by which a test plants a bug from outside. */
export interface Bugs {
  /** The registry's clock. */
  time(time: Time): Time;
  /** The protocol with which the registry probes instances. */
  caller(caller: ProbeProtocol): ProbeProtocol;
  /** The registry's durable store. */
  store(store: Store): Store;
  /** A service's source of randomness. */
  random(random: Random): Random;
  /** A service's client of the registry. */
  link(link: RegistryClient): RegistryClient;
  /** How a caller verifies the identity of the instance that answers. */
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
