import { messageOf } from '@rollcall/core';
import type { Log, Random } from '@rollcall/core';
import { BALANCERS } from './balancers.js';
import type { BalancerChoice, Balancing } from './balancers.js';
import { InFlight } from './nodes/loads.js';
import type { Load, TypicalLatency } from './nodes/loads.js';
import type { Node } from './nodes/node.js';
import type { Candidates } from './pickers/candidates.js';
import { findAvailable, isAvailable } from './pickers/picker.js';
import type { PickArgs, Picker } from './pickers/picker.js';

/** Returns the configured balancing policy; a policy of the application is `guarded`. */
export function balancingOf(choice: BalancerChoice, log: Log): Balancing {
  return typeof choice === 'string' ? BALANCERS[choice] : guardBalancing(choice, log);
}

/**
 * Catches errors that a `Balancing` of the application throws: it runs within calls and while answers of other calls are read, where an
 * exception would fail unrelated calls. The fallback picks the first available node and uses the calls in flight as the load. The first
 * problem of each service and protocol is logged.
 */
function guardBalancing(balancing: Balancing, log: Log): Balancing {
  const problems = new ProblemLog(balancing.name ?? 'own', log);
  return {
    ...(balancing.seesAll === undefined ? {} : { seesAll: balancing.seesAll }),
    picker: (random) => new GuardedPicker(balancing, random, problems),
    load: (typical) => new GuardedLoad(balancing, typical, problems),
  };
}

/** Logs the first problem of a balancer and ignores further ones. */
class ProblemLog {
  readonly #name: string;
  readonly #log: Log;
  #isLogged = false;

  constructor(name: string, log: Log) {
    this.#name = name;
    this.#log = log;
  }

  add(what: string): void {
    if (this.#isLogged) return;
    this.#isLogged = true;
    this.#log.error(
      `The balancer "${this.#name}" ${what}. Calls continue without it when it fails; this is logged once.`,
    );
  }
}

class GuardedPicker implements Picker {
  readonly #picker: Picker | null = null;
  readonly #problems: ProblemLog;

  constructor(balancing: Balancing, random: Random, problems: ProblemLog) {
    this.#problems = problems;
    try {
      this.#picker = balancing.picker(random);
    } catch (error) {
      problems.add(`threw when it created its picker: ${messageOf(error)}`);
    }
  }

  pick<N extends Node>(candidates: Candidates<N>, args: PickArgs): N | null {
    const { nodes } = candidates;
    try {
      const node: N | null | undefined = this.#picker?.pick(candidates, args);
      if (node === null) return null;
      if (node !== undefined && nodes.includes(node) && isAvailable(node, args)) return node;
      this.#problems.add(
        'picked a node that is not a candidate, was tried already, or has no room (see `isAvailable`)',
      );
    } catch (error) {
      this.#problems.add(`threw in pick(): ${messageOf(error)}`);
    }
    return findAvailable(nodes, 0, args);
  }
}

class GuardedLoad implements Load {
  readonly #load: Load;
  readonly #problems: ProblemLog;

  constructor(balancing: Balancing, typical: TypicalLatency, problems: ProblemLog) {
    this.#problems = problems;
    let load: Load = new InFlight();
    try {
      load = balancing.load(typical);
    } catch (error) {
      problems.add(`threw when it created its load: ${messageOf(error)}`);
    }
    this.#load = load;
  }

  cost(slot: number, now: number, inFlight: number): number {
    try {
      const cost = this.#load.cost(slot, now, inFlight);
      if (typeof cost === 'number' && !Number.isNaN(cost)) return cost;
      this.#problems.add('returned a cost that is not a number');
    } catch (error) {
      this.#problems.add(`threw in cost(): ${messageOf(error)}`);
    }
    return inFlight;
  }

  observe(slot: number, ms: number, now: number, isAnswer: boolean): void {
    try {
      this.#load.observe(slot, ms, now, isAnswer);
    } catch (error) {
      this.#problems.add(`threw in observe(): ${messageOf(error)}`);
    }
  }

  forget(slot: number): void {
    try {
      this.#load.forget(slot);
    } catch (error) {
      this.#problems.add(`threw in forget(): ${messageOf(error)}`);
    }
  }
}
