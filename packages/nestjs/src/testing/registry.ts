import type { Answer, RegistryClient, Watch, WatchRequest, WatchSink } from '@rollcall/client';
import type {
  BeatAnswer,
  DrainAnswer,
  Frame,
  Instance,
  InstanceId,
  Registered,
  Registration,
  Result,
  Time,
} from '@rollcall/core';
import { reasonFor } from '@rollcall/core';

const EPOCH = '0192f3a0-0000-7000-8000-00000000f4ce';
/** Short, so that an application that registers soon learns that it is HEALTHY. */
const INTERVAL_MS = 1_000;

/**
 * A registry whose content a test sets. Applications follow it over clients of their own, which open no socket; they
 * receive each change as from a settled registry. A registered application is HEALTHY, and receives no calls.
 */
export class TestRoll {
  /** The registrations of applications, in order. */
  readonly registrations: Registration[] = [];
  readonly #time: Time;
  readonly #services = new Map<string, Map<InstanceId, Instance>>();
  readonly #watches = new Set<TestWatch>();
  #revision = 1;

  constructor(time: Time) {
    this.#time = time;
  }

  /** Declares the service, with or without instances. */
  declare(service: string): void {
    this.#of(service);
  }

  /** Adds the instance, or replaces its record. */
  put(instance: Omit<Instance, 'revision'>): void {
    this.#revision += 1;
    const written = { ...instance, revision: this.#revision };
    this.#of(instance.service).set(instance.id, written);
    for (const watch of this.#watches) watch.change(instance.service, [written], []);
  }

  /** Removes the instance; a no-op for an unknown one. */
  remove(service: string, id: InstanceId): void {
    if (!this.#of(service).delete(id)) return;
    this.#revision += 1;
    const tombstone = { id, revision: this.#revision, reason: reasonFor('GOODBYE') };
    for (const watch of this.#watches) watch.change(service, [], [tombstone]);
  }

  /** A client for one application, closed with it. */
  link(): RegistryClient {
    const own = new Set<TestWatch>();
    return {
      name: 'the registry of this test',
      register: (registration) => this.#register(registration),
      beat: () => this.#answer<BeatAnswer>({ state: 'HEALTHY', revision: this.#revision }),
      releaseConnection: () => {},
      suspect: () => this.#answer(null),
      drain: () => this.#answer<DrainAnswer>({ watchers: 0 }),
      leave: () => this.#answer(null),
      watch: (request, sink) => {
        const watch = new TestWatch(request, sink, {
          shown: (service) => this.#frameOf(request.namespace, service),
          revision: () => this.#revision,
          ended: () => {
            this.#watches.delete(watch);
            own.delete(watch);
          },
        });
        this.#watches.add(watch);
        own.add(watch);
        watch.begin();
        return watch;
      },
      close: async () => {
        for (const watch of own) watch.close();
      },
    };
  }

  #of(service: string): Map<InstanceId, Instance> {
    const known = this.#services.get(service);
    if (known !== undefined) return known;
    const made = new Map<InstanceId, Instance>();
    this.#services.set(service, made);
    // existing watchers have received that the service does not exist
    for (const watch of this.#watches) watch.show(service);
    return made;
  }

  #frameOf(namespace: string, service: string): Frame {
    const instances = this.#services.get(service);
    if (instances === undefined) return { event: 'unknown', data: { namespace, service } };
    const place = { namespace, service, epoch: EPOCH, revision: this.#revision, part: 0, complete: true };
    return { event: 'reset', data: { ...place, instances: [...instances.values()], removed: [] } };
  }

  #register(registration: Registration): Answer<Registered> {
    this.registrations.push(registration);
    const { id, service, namespace = 'default', version = '', zone = '', weight = 100, metadata = {} } = registration;
    const at = this.#time.wall();
    const instance: Instance = {
      id,
      service,
      namespace,
      version,
      zone,
      weight,
      metadata,
      endpoints: registration.endpoints.map(({ protocol, port, host = '127.0.0.1', tls = false }) => ({
        protocol,
        port,
        host,
        tls,
      })),
      state: 'REGISTERING',
      reason: reasonFor('NEW'),
      since: at,
      next: null,
      admin: 'ENABLED',
      source: 'native',
      registeredAt: at,
      revision: this.#revision,
    };
    const heartbeat = { intervalMs: INTERVAL_MS, timeoutMs: INTERVAL_MS, freshEvery: 1 };
    return this.#answer({ instance, epoch: EPOCH, revision: this.#revision, heartbeat, registries: [] });
  }

  #answer<Value>(value: Value): Promise<Result<Value, never>> {
    return Promise.resolve({ ok: true, value });
  }
}

interface WatchParts {
  shown(service: string): Frame;
  revision(): number;
  ended(): void;
}

/** One stream of changes, without a network. */
class TestWatch implements Watch {
  readonly #request: WatchRequest;
  readonly #sink: WatchSink;
  readonly #parts: WatchParts;
  #isOpen = false;
  #isClosed = false;

  constructor(request: WatchRequest, sink: WatchSink, parts: WatchParts) {
    this.#request = request;
    this.#sink = sink;
    this.#parts = parts;
  }

  /** Nothing may be delivered before `watch` has returned. */
  begin(): void {
    void Promise.resolve().then(() => this.#open());
  }

  /** Sends the whole view of the service, if it is watched. */
  show(service: string): void {
    this.#send(service, () => this.#parts.shown(service));
  }

  change(service: string, upsert: readonly Instance[], remove: ChangeData['remove']): void {
    const { namespace } = this.#request;
    this.#send(service, () => ({ event: 'change', data: { namespace, service, upsert, remove } }));
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#parts.ended();
    this.#sink.closed(null);
  }

  #open(): void {
    if (this.#isClosed) return;
    this.#isOpen = true;
    this.#sink.opened();
    this.#sink.frame({ event: 'status', data: { settled: true } });
    for (const service of this.#request.services) this.#sink.frame(this.#parts.shown(service));
    this.#mark();
  }

  #send(service: string, frame: () => Frame): void {
    if (!this.#isOpen || this.#isClosed || !this.#request.services.includes(service)) return;
    this.#sink.frame(frame());
    this.#mark();
  }

  #mark(): void {
    if (!this.#isClosed) this.#sink.mark({ epoch: EPOCH, revision: this.#parts.revision() });
  }
}

type ChangeData = Extract<Frame, { readonly event: 'change' }>['data'];
