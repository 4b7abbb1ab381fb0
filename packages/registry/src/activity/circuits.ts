import { shortId } from '@rollcall/core';
import type { Edge, Instance, Time } from '@rollcall/core';
import type { EventHistory } from './events.js';

/**
 * Circuit events recorded individually in one second, and in one minute; further ones are summed up in one event, which
 * counts towards the limit.
 */
const MAX_PER_SECOND = 20;
const SECOND_MS = 1_000;
const MAX_PER_MINUTE = 120;
const MINUTE_MS = 60_000;
/** The maximum of open circuits per caller; more are not followed. */
const MAX_OPEN_PER_CALLER = 200;
/**
 * The maximum of open circuits of all callers, some 100 bytes each: beyond it, those of the caller that reported
 * longest ago are forgotten.
 */
const MAX_OPEN_TOTAL = 50_000;
/** Open circuits of a caller are forgotten after this time without a report of it. */
const KEPT_MS = 600_000;
/** A longer time between two sweeps counts as this much: this process was paused, and received no reports. */
const MAX_STEP_MS = 1_000;

export interface CircuitPorts {
  readonly time: Pick<Time, 'now'>;
  readonly history: Pick<EventHistory, 'note' | 'noteOf'>;
  /** The registered instances. */
  readonly table: { get(id: string): object | undefined };
}

/** The circuits of one caller that are not closed. */
interface OpenCircuits {
  /** Ids of instances. */
  readonly instances: ReadonlySet<string>;
  /** The time of the caller's last report, on the clock of `#listenedMs`. */
  readonly at: number;
}

const NONE: ReadonlySet<string> = new Set();

/**
 * Records an event when a caller reports that its circuit to an instance opened or closed. A storm of them, as when a
 * network fails or a caller sends false reports, becomes few events, so that it cannot push out other events.
 *
 * An open circuit is remembered until the caller reports it closed, the instance is removed, or the caller has reported
 * nothing for ten minutes. Time in which the registry could not listen does not count, so that circuits that were open
 * before are not announced again.
 */
export class CircuitEvents {
  readonly #ports: CircuitPorts;
  readonly #second = { since: -Infinity, recorded: 0 };
  readonly #minute = { since: -Infinity, recorded: 0 };
  #unrecorded = 0;
  /**
   * By the caller's id; the one that reported longest ago comes first. Callers without an open circuit are left out.
   */
  readonly #open = new Map<string, OpenCircuits>();
  /** The number of circuits in `#open`. */
  #count = 0;
  /** Total time in which this process listened, ms. */
  #listenedMs = 0;
  #sweptAt: number;

  constructor(ports: CircuitPorts) {
    this.#ports = ports;
    this.#sweptAt = ports.time.now();
  }

  /** Processes the report of a caller. A target that is left out keeps its state. */
  note(caller: Instance, edges: readonly Edge[]): void {
    const before = this.#open.get(caller.id)?.instances ?? NONE;
    this.#drop(caller.id);
    const instances = this.#changed(caller, edges, before);
    if (instances.size === 0) return;
    this.#open.set(caller.id, { instances, at: this.#listenedMs });
    this.#count += instances.size;
    for (const id of this.#open.keys()) {
      if (this.#count <= MAX_OPEN_TOTAL) return;
      this.#drop(id);
    }
  }

  /** Records the changes; returns the instances to which the caller has an open circuit now. */
  #changed(caller: Instance, edges: readonly Edge[], before: ReadonlySet<string>): ReadonlySet<string> {
    let now = this.#withoutGone(before);
    for (const { service, targets = [] } of edges) {
      for (const { instance, circuit } of targets) {
        const isOpen = circuit !== 'closed';
        const wasOpen = (now ?? before).has(instance);
        if (isOpen === wasOpen || (isOpen && (now ?? before).size >= MAX_OPEN_PER_CALLER)) continue;
        now ??= new Set(before);
        if (isOpen) now.add(instance);
        else now.delete(instance);
        this.#record(caller, `${isOpen ? 'opened' : 'closed'} its circuit to ${shortId({ id: instance, service })}`);
      }
    }
    return now ?? before;
  }

  #drop(callerId: string): void {
    this.#count -= this.#open.get(callerId)?.instances.size ?? 0;
    this.#open.delete(callerId);
  }

  /**
   * The instances of `before` without removed ones, whose circuits no caller reports as closed; null: all are present.
   */
  #withoutGone(before: ReadonlySet<string>): Set<string> | null {
    const { table } = this.#ports;
    const areAllPresent = [...before].every((id) => table.get(id) !== undefined);
    return areAllPresent ? null : new Set([...before].filter((id) => table.get(id) !== undefined));
  }

  /**
   * Once a second is over, records the number of changes that were only counted in it; forgets callers without a recent
   * report.
   */
  sweep(): void {
    const now = this.#ports.time.now();
    this.#listenedMs += Math.min(MAX_STEP_MS, now - this.#sweptAt);
    this.#sweptAt = now;
    for (const [id, { at }] of this.#open) {
      if (this.#listenedMs - at <= KEPT_MS) break;
      this.#drop(id);
    }
    resetIfOver(this.#second, SECOND_MS, now);
    resetIfOver(this.#minute, MINUTE_MS, now);
    if (this.#unrecorded === 0 || this.#second.recorded > 0 || this.#minute.recorded >= MAX_PER_MINUTE) return;
    const text = `${this.#unrecorded} more circuits opened or closed`;
    this.#unrecorded = 0;
    this.#minute.recorded += 1;
    this.#ports.history.note({ kind: 'circuit', by: 'registry', text });
  }

  #record(caller: Instance, text: string): void {
    this.sweep();
    if (this.#second.recorded >= MAX_PER_SECOND || this.#minute.recorded >= MAX_PER_MINUTE) {
      this.#unrecorded += 1;
      return;
    }
    this.#second.recorded += 1;
    this.#minute.recorded += 1;
    this.#ports.history.noteOf(caller, { kind: 'circuit', by: 'instance', text });
  }
}

/** Starts another span if this one is over. */
function resetIfOver(span: { since: number; recorded: number }, ms: number, now: number): void {
  if (now - span.since < ms) return;
  span.since = now;
  span.recorded = 0;
}
