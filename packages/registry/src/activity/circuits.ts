import { shortId } from '@rollcall/core';
import type { Edge, Instance, Time } from '@rollcall/core';
import type { EventHistory } from './events.js';

/** So many are events of their own in one second, and so many in one minute; the others are counted in one, which counts, too. */
const MOST_A_SECOND = 20;
const SECOND_MS = 1_000;
const MOST_A_MINUTE = 120;
const MINUTE_MS = 60_000;
/** Of one caller: whoever tells of more is not followed further. */
const MOST_OPEN = 200;

export interface CircuitPorts {
  readonly time: Pick<Time, 'now'>;
  readonly history: Pick<EventHistory, 'note' | 'noteOf'>;
  /** Who is registered. */
  readonly table: { get(id: string): object | undefined };
}

/**
 * Notes for people when a caller's circuit to an instance opens and closes again, as the caller tells. A storm of them, as when a
 * network breaks or a caller lies, is told in few events, so that it cannot push out what else happened.
 */
export class CircuitEvents {
  readonly #ports: CircuitPorts;
  readonly #second = { since: -Infinity, told: 0 };
  readonly #minute = { since: -Infinity, told: 0 };
  #untold = 0;

  constructor(ports: CircuitPorts) {
    this.#ports = ports;
  }

  /** What a caller tells, and which instances it had a circuit open to before; returns those it has one open to now. */
  note(caller: Instance, edges: readonly Edge[], before: ReadonlySet<string>): ReadonlySet<string> {
    let now = this.#withoutGone(before);
    for (const { service, targets = [] } of edges) {
      for (const { instance, circuit } of targets) {
        const isOpen = circuit !== 'closed';
        const wasOpen = (now ?? before).has(instance);
        if (isOpen === wasOpen || (isOpen && (now ?? before).size >= MOST_OPEN)) continue;
        now ??= new Set(before);
        if (isOpen) now.add(instance);
        else now.delete(instance);
        this.#tell(caller, `${isOpen ? 'opened' : 'closed'} its circuit to ${shortId({ id: instance, service })}`);
      }
    }
    return now ?? before;
  }

  /** Nobody says of an instance that is gone that its circuit has closed. Null: all are there. */
  #withoutGone(before: ReadonlySet<string>): Set<string> | null {
    const { table } = this.#ports;
    const isAllThere = [...before].every((id) => table.get(id) !== undefined);
    return isAllThere ? null : new Set([...before].filter((id) => table.get(id) !== undefined));
  }

  /** Tells of those that were only counted, when their second is over. */
  sweep(): void {
    const now = this.#ports.time.now();
    begin(this.#second, SECOND_MS, now);
    begin(this.#minute, MINUTE_MS, now);
    if (this.#untold === 0 || this.#second.told > 0 || this.#minute.told >= MOST_A_MINUTE) return;
    const text = `${this.#untold} more circuits opened or closed`;
    this.#untold = 0;
    this.#minute.told += 1;
    this.#ports.history.note({ kind: 'circuit', by: 'registry', text });
  }

  #tell(caller: Instance, text: string): void {
    this.sweep();
    if (this.#second.told >= MOST_A_SECOND || this.#minute.told >= MOST_A_MINUTE) {
      this.#untold += 1;
      return;
    }
    this.#second.told += 1;
    this.#minute.told += 1;
    this.#ports.history.noteOf(caller, { kind: 'circuit', by: 'instance', text });
  }
}

/** Another span begins, if this one is over. */
function begin(span: { since: number; told: number }, ms: number, now: number): void {
  if (now - span.since < ms) return;
  span.since = now;
  span.told = 0;
}
