import { shortId } from '@rollcall/core';
import type { Edge, Instance, Time } from '@rollcall/core';
import type { History } from './history.js';

/** So many circuits in one second are events of their own; the others are counted in one. */
const MOST_A_SECOND = 20;
const SECOND_MS = 1_000;
/** Of one caller: whoever tells of more is not followed further. */
const MOST_OPEN = 200;

export interface CircuitPorts {
  readonly time: Pick<Time, 'now'>;
  readonly history: Pick<History, 'note' | 'noteOf'>;
}

/**
 * Notes for people when a caller's circuit to an instance opens and closes again, as the caller tells. A storm of them, as when a
 * network breaks, is told in one event a second, so that it cannot push out what else happened.
 */
export class CircuitNews {
  readonly #ports: CircuitPorts;
  #secondAt = -Infinity;
  #told = 0;
  #untold = 0;

  constructor(ports: CircuitPorts) {
    this.#ports = ports;
  }

  /** What a caller tells, and which instances it had a circuit open to before; returns those it has one open to now. */
  note(caller: Instance, edges: readonly Edge[], before: ReadonlySet<string>): ReadonlySet<string> {
    let now: Set<string> | null = null;
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

  /** Tells of those that were only counted, when their second is over. */
  sweep(): void {
    if (this.#ports.time.now() - this.#secondAt < SECOND_MS) return;
    this.#told = 0;
    if (this.#untold === 0) return;
    const text = `${this.#untold} more circuits opened or closed within a second`;
    this.#untold = 0;
    this.#ports.history.note({ kind: 'circuit', by: 'registry', text });
  }

  #tell(caller: Instance, text: string): void {
    const { time, history } = this.#ports;
    this.sweep();
    if (this.#told === 0) this.#secondAt = time.now();
    if (this.#told >= MOST_A_SECOND) {
      this.#untold += 1;
      return;
    }
    this.#told += 1;
    history.noteOf(caller, { kind: 'circuit', by: 'instance', text });
  }
}
