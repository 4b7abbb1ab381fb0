import { Inject, Injectable } from '@nestjs/common';
import { MetadataScanner, ModulesContainer } from '@nestjs/core';
import type { ServiceView } from '@rollcall/client';
import { messageOf, printableText, shortId } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import { MEMBERSHIP, PORTS, ROLLCALL } from '../inject.js';
import type { Ports, RollcallApi } from '../inject.js';
import type { Membership } from '../registration/membership.js';
import { changesBetween, ON_INSTANCE_CHANGE } from './on-instance-change.js';
import type { InstanceChange } from './on-instance-change.js';

/** At most this many simultaneous changes, such as those of the first view of a service, are logged one by one. */
const MAX_LINES = 10;

/** A listening method. */
interface Listener {
  /** For messages: `Cache.onOrders`. */
  readonly title: string;
  readonly services: readonly string[];
  call(change: InstanceChange): unknown;
}

/** Reports the changes of other services' instances: one log line each, and calls of the listening methods. */
@Injectable()
export class InstanceNews {
  readonly #stops: (() => void)[] = [];
  readonly #followed = new Set<string>();
  #listeners: readonly Listener[] = [];

  // eslint-disable-next-line max-params -- what Nest injects
  constructor(
    @Inject(ROLLCALL) private readonly rollcall: RollcallApi,
    @Inject(MEMBERSHIP) private readonly membership: Membership,
    @Inject(PORTS) private readonly ports: Ports,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
  ) {}

  /** The application is initialised: its providers exist. Opens nothing. */
  begin(): void {
    const { log } = this.ports;
    this.#listeners = listenersIn(this.modules, (title) =>
      log.warn(`${title} has @OnInstanceChange but is made for each request: it is not called.`),
    );
    this.#stops.push(
      this.rollcall.onEvent((event) => {
        if (event.kind === 'opened')
          log.warn(`No instance of ${event.service} can be called over ${event.protocol} now.`);
        else if (event.kind === 'closed') log.info(`All is well with ${event.service} over ${event.protocol} again.`);
      }),
      this.membership.onWatched((view) => this.#follow(view)),
    );
    // requested now, watched when the client starts
    for (const { services } of this.#listeners)
      for (const service of services) this.#follow(this.rollcall.service(service));
  }

  /** Stops reporting. */
  close(): void {
    for (const stop of this.#stops.splice(0)) stop();
  }

  #follow(view: ServiceView): void {
    if (this.#followed.has(view.service)) return;
    this.#followed.add(view.service);
    let known = new Map<string, Instance>();
    let isDue = false;
    const compare = (): void => {
      isDue = false;
      const changes = changesBetween(view.service, known, view.instances);
      known = new Map(view.instances.map((instance) => [instance.id, instance]));
      if (changes.length > 0) this.#report(changes);
    };
    // a flush of the registry may hold many changes, which are compared together
    const later = (): void => {
      if (isDue) return;
      isDue = true;
      void Promise.resolve().then(() => (this.#stops.length > 0 ? compare() : undefined));
    };
    this.#stops.push(view.onChange(later));
    if (view.instances.length > 0) later();
  }

  #report(changes: readonly InstanceChange[]): void {
    const { log } = this.ports;
    for (const change of changes.slice(0, MAX_LINES)) {
      if (change.kind === 'state') log.info(lineOf(change));
      else log.debug(lineOf(change));
    }
    const rest = changes.length - MAX_LINES;
    if (rest > 0) log.debug(`… and ${rest} more changes of ${changes[0]?.service} at once.`);
    for (const listener of this.#listeners) this.#call(listener, changes);
  }

  #call(listener: Listener, changes: readonly InstanceChange[]): void {
    for (const change of changes) {
      if (!listener.services.includes(change.service)) return;
      const failed = (error: unknown): void =>
        this.ports.log.error(`${listener.title} failed with a change of ${change.service}: ${messageOf(error)}`);
      try {
        Promise.resolve(listener.call(change)).catch(failed);
      } catch (error) {
        failed(error);
      }
    }
  }
}

function lineOf({ kind, instance, before }: InstanceChange): string {
  const name = shortId(instance);
  if (kind === 'came') return `${name} is there: ${instance.state}.`;
  if (kind === 'went') return `${name} is gone; it was ${instance.state}.`;
  const isAdmin = before !== null && before.state === instance.state;
  const [now, then] = isAdmin ? [instance.admin, before.admin] : [instance.state, before?.state];
  return `${name} is ${now} (was ${then}): ${printableText(instance.reason.text)}.`;
}

function listenersIn(modules: ModulesContainer, report: (title: string) => void): readonly Listener[] {
  const scanner = new MetadataScanner();
  return [...modules.values()].flatMap(({ providers, controllers }) =>
    [...providers.values(), ...controllers.values()].flatMap((wrapper) => {
      const { metatype } = wrapper;
      // the product of a factory is not scanned
      if (typeof metatype !== 'function' || (wrapper.inject ?? null) !== null) return [];
      const prototype: unknown = metatype.prototype;
      if (typeof prototype !== 'object' || prototype === null) return [];
      return scanner.getAllMethodNames(prototype).flatMap((key): Listener[] => {
        const services = servicesOf(Reflect.get(prototype, key));
        const title = `${metatype.name}.${key}`;
        if (services === null) return [];
        if (!wrapper.isDependencyTreeStatic()) {
          report(title);
          return [];
        }
        const { instance }: { readonly instance: unknown } = wrapper;
        if (typeof instance !== 'object' || instance === null) return [];
        return [{ title, services, call: (change) => Reflect.apply(Reflect.get(instance, key), instance, [change]) }];
      });
    }),
  );
}

function servicesOf(method: unknown): readonly string[] | null {
  if (typeof method !== 'function') return null;
  const services: unknown = Reflect.getMetadata(ON_INSTANCE_CHANGE, method);
  return Array.isArray(services) ? services : null;
}
