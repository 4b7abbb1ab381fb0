import type { Instance } from '@rollcall/core';
import type { Disk } from './disk.js';
import type { RuleContext, Ledger, RecordChange } from './ledger.js';
import { callerOf } from './registry-node.js';
import type { Request, RequestOutcome } from './registry-node.js';
import type { SimulationView } from './simulation-view.js';
import type { Truth } from './truth.js';

const WINDOW_MS = 600_000;
/** A verdict is seen when it is flushed, a little after the decision. */
const SLACK_MS = 1_000;
const HOUR_MS = 3_600_000;
const ALL = 'all instances';

/** The allowance of silence, counted independently of the registry: of one service, or of all. */
interface Scope {
  readonly name: string;
  /** When silence made an instance CRITICAL: with a permit, and with or without one. */
  uses: number[];
  possibleUses: number[];
  /**
   * The number of proved instances, and when it changed; `max`: with those at a shared address, of which only the
   * registry knows whether they were proved.
   */
  counts: { readonly at: number; readonly total: number; readonly max: number }[];
  massSince: number | null;
  /** When more than half were last silent, for certain. */
  certainMassAt: number;
  /** When more than half were last silent, by the most generous count. */
  possibleMassAt: number;
}

/**
 * S7, and whether self-preservation may hold an instance (L2). Each registry process has one, which continues that of
 * its predecessor.
 */
export class Permits {
  readonly #simulation: SimulationView;
  readonly #truth: Truth;
  readonly #ledger: Ledger;
  readonly #scopes = new Map<string, Scope>();
  /** Proved both ways, as far as this registry process knows. */
  readonly #proved: Set<string>;
  /** Sent a request to this registry process, and got an answer. */
  readonly #received = new Set<string>();
  /** When it last listened. */
  #judgedAt = 0;

  /** `before`: the registry process whose disk this one continues with. */
  constructor(of: RuleContext, before: { readonly permits: Permits; readonly disk: Disk } | null) {
    this.#simulation = of.simulation;
    this.#truth = of.truth;
    this.#ledger = of.ledger;
    const stored = before?.disk.found.instances.filter(({ proved }) => proved) ?? [];
    this.#proved = new Set(stored.map(({ record }) => record.id));
    if (before !== null) this.#continueFrom(before.permits, before.disk.lostSince);
  }

  /** The registry has answered a request of a process. */
  arrived(request: Request, { ok }: RequestOutcome): void {
    const id = callerOf(request);
    if (ok && id !== null) this.#received.add(id);
  }

  see({ before, after }: RecordChange): void {
    if (after.state === 'HEALTHY') this.#proved.add(after.id);
    if (after.state === 'REGISTERING') this.#proved.delete(after.id);
    // a peak may last for less than the time between two checks
    for (const scope of this.#scopesOf(after)) this.#count(scope);
    const byProof = after.reason.code === 'PROOF_OF_DEATH';
    if (after.state !== 'CRITICAL' || before === null || before.state === 'CRITICAL' || byProof) return;
    // DEREGISTERING falls back to CRITICAL when it answers: that rescues it
    if (before.state === 'DEREGISTERING') return;
    const { now } = this.#simulation.world;
    for (const scope of this.#scopesOf(after)) {
      scope.possibleUses = [...recent(scope.possibleUses, now - 2 * SLACK_MS), now];
      // an instance that was never proved is free when it is silent both ways, and needs a permit when it beats
      if (this.#proved.has(after.id) && !this.#wasDeadBefore(after.id)) this.#use(scope, after);
    }
  }

  /** Updates the facts of this moment, from the true state. */
  judge(): void {
    this.#judgedAt = this.#simulation.registry.isListening ? this.#simulation.world.now : this.#judgedAt;
    const present = [...this.#ledger.listed.values()].filter((one) => this.#isPresent(one));
    const services = byService(present);
    const all = byService(this.#ledger.listed.values());
    for (const name of [...all.keys(), ...this.#scopes.keys()]) {
      if (name !== ALL) this.#observe(this.#scope(name), services.get(name) ?? [], all.get(name) ?? []);
    }
    this.#observe(this.#scope(ALL), present, [...this.#ledger.listed.values()]);
  }

  /** Whether self-preservation has, or had a moment ago, a reason to hold an instance of this service. */
  mayHold(instance: Instance): boolean {
    const { now } = this.#simulation.world;
    return this.#scopesOf(instance).some((scope) => {
      const isExhausted =
        recent(scope.possibleUses, now - 2 * SLACK_MS).length >= allowanceOf(peak(scope, now, SLACK_MS, 'total'));
      // 3 intervals + timeout after most were silent, which itself is noticed late and forgotten late
      return isExhausted || now - scope.possibleMassAt < 40_000;
    });
  }

  /**
   * Stored uses count from the restart on as if no time had passed; the crash also reverted the uses that were not
   * stored.
   */
  #continueFrom(before: Permits, lostSince: number): void {
    const stoppedMs = this.#simulation.world.now - before.#judgedAt;
    for (const [name, { uses, possibleUses, counts }] of before.#scopes) {
      const kept = uses.filter((at) => at < lostSince);
      this.#scopes.set(name, {
        ...createScope(name),
        uses: kept,
        possibleUses: possibleUses.map((at) => at + stoppedMs),
        counts,
      });
    }
  }

  #use(scope: Scope, { id, service }: Instance): void {
    const { now } = this.#simulation.world;
    scope.uses = [...recent(scope.uses, now), now];
    const max = allowanceOf(peak(scope, now, -SLACK_MS, 'max'));
    if (scope.uses.length > max) {
      this.#ledger.report(
        'S7',
        `silence made ${scope.uses.length} of ${scope.name} CRITICAL within 10 minutes, allowed are ${max} (the last is ${id})`,
      );
    }
    const heldFor = scope.massSince === null ? 0 : now - scope.massSince;
    if (heldFor > SLACK_MS && heldFor < HOUR_MS - 60 * SLACK_MS) {
      this.#ledger.report('S7', `silence made ${id} of ${service} CRITICAL while most ${scope.name} are silent`);
    }
    const { intervalMs, timeoutMs } = this.#simulation.registry.policy;
    const calmMs = now - scope.certainMassAt;
    if (heldFor === 0 && calmMs < 3 * intervalMs + timeoutMs - SLACK_MS) {
      this.#ledger.report(
        'S7',
        `silence made ${id} of ${service} CRITICAL ${calmMs} ms after most ${scope.name} were silent`,
      );
    }
  }

  /** `listed`: also the instances, at a shared address, of which only the registry knows whether they were ever proved. */
  #observe(scope: Scope, instances: readonly Instance[], listed: readonly Instance[]): void {
    const { now } = this.#simulation.world;
    this.#count(scope);
    const certain = instances.filter(({ id }) => this.#silentFor(id) > this.#noticedAfterMs()).length;
    const possible = listed.filter(({ id }) => this.#silentFor(id) > 0).length;
    const isMass = certain > 1 && certain > instances.length / 2;
    scope.massSince = isMass ? (scope.massSince ?? now) : null;
    const isSure = scope.massSince !== null && now - scope.massSince > SLACK_MS && certain > listed.length / 2;
    if (isSure) scope.certainMassAt = now;
    if (possible > 1 && possible >= instances.length / 2) scope.possibleMassAt = now;
  }

  /** Counts the proved instances of a scope, for its peak. */
  #count(scope: Scope): void {
    const { now } = this.#simulation.world;
    const listed = [...this.#ledger.listed.values()].filter(
      ({ service }) => scope.name === ALL || service === scope.name,
    );
    const total = listed.filter((one) => this.#isPresent(one)).length;
    const max = total + listed.filter(({ id, reason }) => isShared(reason) && !this.#proved.has(id)).length;
    const last = scope.counts.at(-1);
    if (last?.total === total && last.max === max) return;
    const from = now - WINDOW_MS - SLACK_MS;
    const kept = scope.counts.filter(({ at }, index) => at > from || (scope.counts[index + 1]?.at ?? Infinity) > from);
    scope.counts = [...kept, { at: now, total, max }];
  }

  /** Proved, and neither leaving nor gone before this registry process knew it. */
  #isPresent({ id, reason }: Instance): boolean {
    return this.#proved.has(id) && reason.code !== 'LEAVING' && !this.#wasDeadBefore(id);
  }

  /** How long a direction has certainly been dead; 0 while both may work. */
  #silentFor(id: string): number {
    const client = this.#simulation.known.get(id);
    if (client === undefined) return 0;
    const { inbound, outbound } = this.#truth.of(client);
    const since = Math.min(this.#truth.deadSince(inbound), this.#truth.deadSince(outbound));
    return Math.max(0, this.#simulation.world.now - since);
  }

  /**
   * Whether it was dead when this registry process started, or before it sent any request to it. Then the registry may
   * know, and what it does then does not count as silence (decision 21).
   */
  #wasDeadBefore(id: string): boolean {
    const { known, registry } = this.#simulation;
    const diedAt = known.get(id)?.process.diedAt ?? Infinity;
    return diedAt <= registry.listeningSince || (diedAt < Infinity && !this.#received.has(id));
  }

  /** 2 intervals + timeout, a sweep, and a call under way. */
  #noticedAfterMs(): number {
    const { intervalMs, timeoutMs } = this.#simulation.registry.policy;
    return 2 * intervalMs + 2 * timeoutMs;
  }

  #scopesOf({ service }: Instance): Scope[] {
    const own = this.#scope(service);
    const all = this.#scope(ALL);
    return peak(own, this.#simulation.world.now, 0, 'total') >= 3 ? [all, own] : [all];
  }

  #scope(name: string): Scope {
    const known = this.#scopes.get(name);
    if (known !== undefined) return known;
    const made = createScope(name);
    this.#scopes.set(name, made);
    return made;
  }
}

function createScope(name: string): Scope {
  return {
    name,
    uses: [],
    possibleUses: [],
    counts: [],
    massSince: null,
    certainMassAt: -Infinity,
    possibleMassAt: -Infinity,
  };
}

/** Instances by the name of their service. */
export function byService(instances: Iterable<Instance>): Map<string, Instance[]> {
  const grouped = new Map<string, Instance[]>();
  for (const instance of instances) grouped.set(instance.service, [...(grouped.get(instance.service) ?? []), instance]);
  return grouped;
}

const recent = (uses: readonly number[], now: number): number[] => uses.filter((at) => now - at < WINDOW_MS - SLACK_MS);

/**
 * The highest count within the window; a negative slack looks a little further back. A `total` that did not last is one
 * that the registry may not have seen.
 */
function peak(scope: Scope, now: number, slackMs: number, which: 'total' | 'max'): number {
  const from = now - WINDOW_MS + slackMs;
  const leastMs = which === 'total' ? SLACK_MS : 0;
  let highest = 0;
  scope.counts.forEach((count, index) => {
    const until = scope.counts[index + 1]?.at ?? Infinity;
    if (until > from && until - count.at >= leastMs) highest = Math.max(highest, count[which]);
  });
  return highest;
}

const allowanceOf = (highest: number): number => Math.max(1, Math.floor(0.15 * highest));

const isShared = ({ code }: Instance['reason']): boolean => code === 'ADDRESS_SHARED';
