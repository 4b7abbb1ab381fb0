import { messageOf } from '@rollcall/core';
import type { Log, Random } from '@rollcall/core';
import { BALANCERS } from './balancers.js';
import type { BalancerChoice, Balancing } from './balancers.js';
import { InFlight } from './nodes/loads.js';
import type { Load, TypicalLatency } from './nodes/loads.js';
import type { Node } from './nodes/node.js';
import type { Candidates } from './pickers/candidates.js';
import { firstAble, isAble } from './pickers/picker.js';
import type { Ask, Picker } from './pickers/picker.js';

/** The way to balance that was chosen; an own one is `guarded`. */
export function balancingOf(choice: BalancerChoice, log: Log): Balancing {
  return typeof choice === 'string' ? BALANCERS[choice] : guarded(choice, log);
}

/**
 * An own `Balancing` between guards: it is called within calls, and while the answers of other calls are read, so that
 * what it throws would harm unrelated calls. Instead the first node that is able is picked, or the calls in flight are
 * the load. It is logged once for each service and protocol.
 */
function guarded(balancing: Balancing, log: Log): Balancing {
  const complaint = new Complaint(balancing.name ?? 'own', log);
  return {
    ...(balancing.seesAll === undefined ? {} : { seesAll: balancing.seesAll }),
    picker: (random) => new GuardedPicker(balancing, random, complaint),
    load: (typical) => new GuardedLoad(balancing, typical, complaint),
  };
}

/** Said once. */
class Complaint {
  readonly #name: string;
  readonly #log: Log;
  #isTold = false;

  constructor(name: string, log: Log) {
    this.#name = name;
    this.#log = log;
  }

  tell(what: string): void {
    if (this.#isTold) return;
    this.#isTold = true;
    this.#log.error(`The balancer "${this.#name}" ${what}. Calls go on without it where it fails; this is told once.`);
  }
}

class GuardedPicker implements Picker {
  readonly #picker: Picker | null = null;
  readonly #complaint: Complaint;

  constructor(balancing: Balancing, random: Random, complaint: Complaint) {
    this.#complaint = complaint;
    try {
      this.#picker = balancing.picker(random);
    } catch (error) {
      complaint.tell(`threw when its picker was made: ${messageOf(error)}`);
    }
  }

  pick<N extends Node>(candidates: Candidates<N>, ask: Ask): N | null {
    const { nodes } = candidates;
    try {
      const node: N | null | undefined = this.#picker?.pick(candidates, ask);
      if (node === null) return null;
      if (node !== undefined && nodes.includes(node) && isAble(node, ask)) return node;
      this.#complaint.tell('picked somebody who is no candidate, was tried already, or has no room (see `isAble`)');
    } catch (error) {
      this.#complaint.tell(`threw when it was asked to pick: ${messageOf(error)}`);
    }
    return firstAble(nodes, 0, ask);
  }
}

class GuardedLoad implements Load {
  readonly #load: Load;
  readonly #complaint: Complaint;

  constructor(balancing: Balancing, typical: TypicalLatency, complaint: Complaint) {
    this.#complaint = complaint;
    let load: Load = new InFlight();
    try {
      load = balancing.load(typical);
    } catch (error) {
      complaint.tell(`threw when its load was made: ${messageOf(error)}`);
    }
    this.#load = load;
  }

  cost(slot: number, now: number, inFlight: number): number {
    try {
      const cost = this.#load.cost(slot, now, inFlight);
      if (typeof cost === 'number' && !Number.isNaN(cost)) return cost;
      this.#complaint.tell('gave a cost that is no number');
    } catch (error) {
      this.#complaint.tell(`threw when it was asked for a cost: ${messageOf(error)}`);
    }
    return inFlight;
  }

  observe(slot: number, ms: number, now: number, isAnswer: boolean): void {
    try {
      this.#load.observe(slot, ms, now, isAnswer);
    } catch (error) {
      this.#complaint.tell(`threw when it was told of a call: ${messageOf(error)}`);
    }
  }

  forget(slot: number): void {
    try {
      this.#load.forget(slot);
    } catch (error) {
      this.#complaint.tell(`threw when it was to forget: ${messageOf(error)}`);
    }
  }
}
