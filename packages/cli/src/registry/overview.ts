import type { RegistryClient, Watch } from '@rollcall/client';
import { DEFAULT_NAMESPACE, fullJitterMs, ServiceSnapshot } from '@rollcall/core';
import type { Cursor, Frame, Instance, InstanceId, Random, Reason, ServiceFrame, Time, Timer } from '@rollcall/core';

/** A change of one instance. `instance` is its last version; `removed` has the reason of a removal (null: unknown). */
export interface InstanceChange {
  readonly instance: Instance;
  /** The version before; null for a new one. */
  readonly before: Instance | null;
  readonly removed: { readonly reason: Reason | null } | null;
}

export interface OverviewParts {
  readonly link: RegistryClient;
  readonly time: Time;
  readonly random: Random;
  /** `*`: all. Default `default`. */
  readonly namespace?: string;
  /** Its services to watch; default: all. */
  readonly services?: readonly string[];
  /** After each flush of the registry that changed something, and when the line opens or ends. It must not throw. */
  changed(changes: readonly InstanceChange[]): void;
}

/** A registry that was killed and restarted is often back at once; one that stays away is tried once a second. */
const RECONNECT = { baseMs: 100, capMs: 1_000 };
const MIN_WAIT_MS = 10;
/** The longest silence that is requested; a registry that does not support it sends something every 10 s. */
const BEAT_MS = 5_000;
const OLD_BEAT_MS = 10_000;
/**
 * When the second sign of life is this late, or after the longest silence that is trusted, the view is old, as on
 * the dashboard.
 */
const LATE_MS = 1_000;
const MAX_TRUST_MS = 12_000;

/**
 * A live copy of all services of a namespace, for display (a client copies only the services that it calls). After a failure it opens the feed again with jitter, resumes, and keeps its instances meanwhile.
 */
export class Overview {
  readonly #parts: OverviewParts;
  /** The services by `<namespace>/<name>`. */
  readonly #services = new Map<string, ServiceSnapshot>();
  #watch: Watch | null = null;
  #retry: Timer | null = null;
  #failures = 0;
  #cursor: Cursor | null = null;
  #receivedAt: number | null = null;
  /** The same on the monotonic clock, ms. */
  #receivedMonotonic = 0;
  #isLive = false;
  #isSilent = false;
  #trustMs = MAX_TRUST_MS;
  #silenceTimer: Timer | null = null;
  #isSettled = false;
  #isClosed = false;
  /** The instances at the last call of `changed`. */
  #reported: ReadonlyMap<InstanceId, Instance> = new Map();

  constructor(parts: OverviewParts) {
    this.#parts = parts;
  }

  /** True if the feed is open and complete, and the registry has sent something recently. */
  get isLive(): boolean {
    return this.#isLive;
  }

  /**
   * True if the registry has been silent for too long without closing the feed, or accepts connections and does not
   * answer.
   */
  get isSilent(): boolean {
    return this.#isSilent;
  }

  /** Wall clock of the registry's last message; null before the first. */
  get lastMessageAt(): number | null {
    return this.#receivedAt;
  }

  /** The revision up to which everything has been received. */
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
    this.#silenceTimer?.cancel();
    this.#watch?.close();
  }

  #open(): void {
    const cursor = this.#cursor;
    const resume = cursor === null ? [] : this.#resumable(cursor);
    let wasSilent = false;
    this.#watch = this.#parts.link.watch(
      {
        namespace: this.#parts.namespace ?? DEFAULT_NAMESPACE,
        services: this.#parts.services ?? ['*'],
        resume,
        cursor: resume.length === 0 ? null : cursor,
        line: null,
        beatMs: BEAT_MS,
      },
      {
        opened: (beatMs = OLD_BEAT_MS) => void (this.#trustMs = Math.min(MAX_TRUST_MS, 2 * beatMs + LATE_MS)),
        frame: (frame) => this.#receive(frame),
        mark: (next) => this.#applyMark(next),
        batch: (deliver) => deliver(),
        silent: () => void (wasSilent = true),
        closed: () => this.#handleClose(wasSilent),
      },
    );
  }

  /**
   * The names of its services. None for all namespaces: a name could mean several services, and the registry would not
   * report which is gone.
   */
  #resumable(cursor: Cursor): readonly string[] {
    if (this.#parts.namespace === '*') return [];
    return [...this.#services].flatMap(([key, service]) =>
      service.canResume(cursor) ? [key.slice(key.indexOf('/') + 1)] : [],
    );
  }

  #receive(frame: Frame): void {
    this.#markReceived();
    if (frame.event === 'status') this.#isSettled = frame.data.settled;
    else if (frame.event !== 'gone') this.#apply(frame);
  }

  #apply(frame: ServiceFrame): void {
    const { namespace, service } = frame.data;
    const key = `${namespace}/${service}`;
    const snapshot = this.#services.get(key) ?? new ServiceSnapshot();
    this.#services.set(key, snapshot);
    // the copy of the service is broken: watch it again from its start
    if (snapshot.apply(frame) === 'broken') this.#watch?.close();
  }

  #applyMark(cursor: Cursor): void {
    this.#cursor = cursor;
    this.#markReceived();
    this.#failures = 0;
    const wasLive = this.#isLive;
    this.#isLive = true;
    this.#isSilent = false;
    if (this.#silenceTimer === null) this.#checkSilenceAfter(this.#trustMs);
    // without calls there is no evidence of our own: an instance that a settled registry does not know is gone
    for (const service of this.#services.values()) service.confirm(this.#isSettled, () => true);
    const changes = this.#changes();
    if (changes.length > 0 || !wasLive) this.#parts.changed(changes);
  }

  #changes(): readonly InstanceChange[] {
    const now = new Map(this.instances.map((instance) => [instance.id, instance]));
    const before = this.#reported;
    this.#reported = now;
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

  #markReceived(): void {
    this.#receivedAt = this.#parts.time.wall();
    this.#receivedMonotonic = this.#parts.time.now();
  }

  /** Checks whether an open feed is silent. */
  #checkSilenceAfter(ms: number): void {
    const check = (): void => {
      this.#silenceTimer = null;
      const leftMs = this.#receivedMonotonic + this.#trustMs - this.#parts.time.now();
      if (leftMs > 0) return this.#checkSilenceAfter(leftMs);
      this.#isLive = false;
      this.#isSilent = true;
      this.#parts.changed([]);
    };
    this.#silenceTimer = this.#parts.time.setTimer(ms, check, { background: true });
  }

  /**
   * A registry that closes or refuses the feed is not silent; an attempt without an answer reports that before it ends.
   */
  #handleClose(wasSilent: boolean): void {
    if (this.#isClosed) return;
    const wasLive = this.#isLive;
    this.#isLive = false;
    this.#silenceTimer?.cancel();
    this.#silenceTimer = null;
    this.#isSilent = wasSilent;
    const { time, random } = this.#parts;
    const waitMs = Math.max(MIN_WAIT_MS, fullJitterMs(RECONNECT, this.#failures, random));
    this.#failures += 1;
    this.#retry = time.setTimer(waitMs, () => this.#open(), { background: true });
    if (wasLive) this.#parts.changed([]);
  }
}
