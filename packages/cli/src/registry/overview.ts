import type { RegistryClient, Watch } from '@rollcall/client';
import { DEFAULT_NAMESPACE, fullJitterMs, ServiceSnapshot } from '@rollcall/core';
import type { Cursor, Frame, Instance, InstanceId, Random, Reason, ServiceFrame, Time, Timer } from '@rollcall/core';

/** What became of one instance. `instance` is its last word; `removed` says why it is gone (null: nobody said). */
export interface InstanceChange {
  readonly instance: Instance;
  /** As it was before; null for a new one. */
  readonly before: Instance | null;
  readonly removed: { readonly reason: Reason | null } | null;
}

export interface OverviewParts {
  readonly link: RegistryClient;
  readonly time: Time;
  readonly random: Random;
  /** `*`: all. Default `default`. */
  readonly namespace?: string;
  /** Which of its services; default: all. */
  readonly services?: readonly string[];
  /** After each flush of the registry that changed something, and when the line opens or ends. It must not throw. */
  changed(changes: readonly InstanceChange[]): void;
}

/** A registry that was killed and started again is often there at once; one that stays away is asked once a second. */
const RECONNECT = { baseMs: 100, capMs: 1_000 };
const SHORTEST_WAIT_MS = 10;

/**
 * Everything that the registry knows, live: a copy of all services of a namespace, for who looks at it (a client copies only the
 * services that it calls). It opens the feed again with jitter when it breaks, resumes, and stays full meanwhile.
 */
export class Overview {
  readonly #parts: OverviewParts;
  /** By `<namespace>/<name>`. */
  readonly #services = new Map<string, ServiceSnapshot>();
  #watch: Watch | null = null;
  #retry: Timer | null = null;
  #failures = 0;
  #cursor: Cursor | null = null;
  #heardAt: number | null = null;
  #isLive = false;
  #isSettled = false;
  #isClosed = false;
  /** As it was when `changed` was last called. */
  #told: ReadonlyMap<InstanceId, Instance> = new Map();

  constructor(parts: OverviewParts) {
    this.#parts = parts;
  }

  /** Is the feed open, and has it told everything there is? */
  get isLive(): boolean {
    return this.#isLive;
  }

  /** Wall clock of the registry's last flush, or of the end of the line; null before the first. */
  get heardAt(): number | null {
    return this.#heardAt;
  }

  /** The revision up to which everything has been heard. */
  get revision(): number {
    return this.#cursor?.revision ?? 0;
  }

  get instances(): readonly Instance[] {
    return [...this.#services.values()].flatMap((service) => service.instances);
  }

  /** Opens the feed. */
  start(): void {
    this.#open();
  }

  /** May be called twice. */
  close(): void {
    this.#isClosed = true;
    this.#retry?.cancel();
    this.#watch?.close();
  }

  #open(): void {
    const cursor = this.#cursor;
    const resume = cursor === null ? [] : this.#resumable(cursor);
    this.#watch = this.#parts.link.watch(
      {
        namespace: this.#parts.namespace ?? DEFAULT_NAMESPACE,
        services: this.#parts.services ?? ['*'],
        resume,
        cursor: resume.length === 0 ? null : cursor,
        line: null,
      },
      {
        opened: () => {},
        frame: (frame) => this.#heard(frame),
        mark: (next) => this.#flushed(next),
        together: (deliver) => deliver(),
        closed: () => this.#closed(),
      },
    );
  }

  /** By their names. Of all namespaces none: a name could stand for several services, and the registry would not tell which is gone. */
  #resumable(cursor: Cursor): readonly string[] {
    if (this.#parts.namespace === '*') return [];
    return [...this.#services].flatMap(([key, service]) =>
      service.canResume(cursor) ? [key.slice(key.indexOf('/') + 1)] : [],
    );
  }

  #heard(frame: Frame): void {
    if (frame.event === 'status') this.#isSettled = frame.data.settled;
    else if (frame.event !== 'gone') this.#apply(frame);
  }

  #apply(frame: ServiceFrame): void {
    const { namespace, service } = frame.data;
    const key = `${namespace}/${service}`;
    const snapshot = this.#services.get(key) ?? new ServiceSnapshot();
    this.#services.set(key, snapshot);
    // watched anew, and this service from its beginning
    if (snapshot.apply(frame) === 'broken') this.#watch?.close();
  }

  #flushed(cursor: Cursor): void {
    this.#cursor = cursor;
    this.#heardAt = this.#parts.time.wall();
    this.#failures = 0;
    const wasLive = this.#isLive;
    this.#isLive = true;
    // we call nobody: what a settled registry does not know is gone
    for (const service of this.#services.values()) service.confirm(this.#isSettled, () => true);
    const changes = this.#changes();
    if (changes.length > 0 || !wasLive) this.#parts.changed(changes);
  }

  #changes(): readonly InstanceChange[] {
    const now = new Map(this.instances.map((instance) => [instance.id, instance]));
    const before = this.#told;
    this.#told = now;
    const changes: InstanceChange[] = [];
    for (const instance of now.values()) {
      const known = before.get(instance.id) ?? null;
      if (known !== instance) changes.push({ instance, before: known, removed: null });
    }
    for (const instance of before.values()) {
      if (now.has(instance.id)) continue;
      const reason =
        this.#services.get(`${instance.namespace}/${instance.service}`)?.tombstone(instance.id)?.reason ?? null;
      changes.push({ instance, before: instance, removed: { reason } });
    }
    return changes;
  }

  #closed(): void {
    if (this.#isClosed) return;
    const wasLive = this.#isLive;
    if (wasLive) this.#heardAt = this.#parts.time.wall();
    this.#isLive = false;
    const { time, random } = this.#parts;
    const waitMs = Math.max(SHORTEST_WAIT_MS, fullJitterMs(RECONNECT, this.#failures, random));
    this.#failures += 1;
    this.#retry = time.setTimer(waitMs, () => this.#open(), { background: true });
    if (wasLive) this.#parts.changed([]);
  }
}
