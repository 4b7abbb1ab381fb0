import type { SavedPreservation, SavedScope } from '../store/store.js';

/** The interval and the timeout of the registry, ms; every duration here derives from them. */
export interface PreservationTerms {
  readonly intervalMs: number;
  readonly timeoutMs: number;
}

/**
 * How many instances of a service were ever proved both ways, and how many of those are silent now. Instances that were
 * gone before this process started are not counted.
 */
export interface Count {
  readonly total: number;
  /** A direction silent for 2 intervals + timeout, or the last call failed. */
  readonly silent: number;
  /**
   * Part of `total`: restored from a store and not heard since. They count for a mass but not for the peak of the
   * allowance. Default 0.
   */
  readonly unheard?: number;
}

/** The reason for which silence may act on no instance now. */
export interface Hold {
  readonly rule: 'mass' | 'after-mass' | 'allowance';
  /** A sentence without a full stop. */
  readonly text: string;
  /** Monotonic ms since when it holds. */
  readonly since: number;
}

/** The state for operators. */
export interface PreservationState {
  readonly active: boolean;
  readonly text: string;
  /** Since when, monotonic ms; null while nothing is held. */
  readonly since: number | null;
}

/** One population as self-preservation sees it: the whole registry, or one service. */
export interface ScopeReport {
  /** Instances that silence made CRITICAL within the last ten minutes, and the maximum. */
  readonly used: number;
  readonly allowed: number;
  /** The ten-minute peak of instances that were proved and heard by this process. */
  readonly peak: number;
  /** Proved instances now, and how many of them are silent. */
  readonly total: number;
  readonly silent: number;
  /** The rule that holds now; null: none does, or there is no silent instance that it could hold. */
  readonly rule: Hold['rule'] | 'doubt' | null;
  /** The same as a sentence without a full stop. */
  readonly text: string | null;
  /** Monotonic ms since when it holds. */
  readonly since: number | null;
}

/** Uses and peak look back this far. */
const WINDOW_MS = 600_000;
/** The share of the peak that silence may make CRITICAL within the window; at least one instance. */
const ALLOWED_RATIO = 0.15;
/** Time for which a mass stops all decisions by silence, ms. */
const MASS_HOLD_MS = 3_600_000;
/** A service with fewer instances has no gate of its own: that of the registry is enough. */
const SMALLEST_SERVICE = 3;
/** Refusals on fewer hosts do not put the network in doubt. */
const MASS_MIN_HOSTS = 3;

/**
 * Self-preservation: decides whether silence may make an instance CRITICAL now, for the registry as a whole and for
 * each service with at least three instances. The rules in order: if more than half, and more than one, are silent, it
 * takes none out for an hour; while the allowance of 15 % of the ten-minute peak (at least one) lasts, it may; for 3
 * intervals + timeout after a mass, it takes none out. A limit per tick, or on those silent now, would leak the fleet
 * one by one, and a rule that waits for the old count would never end: this one ends by itself. It also decides whether
 * mass refusals, which prove nothing, put the network in doubt.
 *
 * Pure: the engine reports the facts with `observe` before each round of decisions, asks `permit` for each, and calls
 * `use` for every instance that silence made CRITICAL. All times are monotonic ms. The state is bounded by the services
 * seen within ten minutes.
 */
export class SelfPreservation {
  readonly #afterMassMs: number;
  readonly #calmMs: number;
  readonly #registry: Scope;
  readonly #services = new Map<string, Scope>();
  #isMass = false;
  /** Since when proofs are in doubt; null while they are accepted. */
  #doubtedAt: number | null = null;
  /** Since when fewer than half are refused while proofs are in doubt. */
  #calmAt: number | null = null;

  constructor(terms: PreservationTerms) {
    this.#afterMassMs = 3 * terms.intervalMs + terms.timeoutMs;
    this.#calmMs = 2 * terms.intervalMs;
    this.#registry = new Scope('instances', this.#afterMassMs);
  }

  /**
   * Records the counts at `now` by service (any key, the same in `permit` and `use`). A service that is left out has no
   * instance.
   */
  observe(now: number, counts: ReadonlyMap<string, Count>): void {
    const all = { total: 0, silent: 0, unheard: 0 };
    for (const [service, count] of counts) {
      all.total += count.total;
      all.silent += count.silent;
      all.unheard += count.unheard ?? 0;
      this.#scopeOf(service).observe(now, count);
    }
    this.#registry.observe(now, all);
    for (const [service, scope] of this.#services) {
      if (counts.has(service)) continue;
      scope.observe(now, NO_INSTANCES);
      if (scope.isIdle(now)) this.#services.delete(service);
    }
    this.#isMass = this.#registry.isMass || this.#hasGatedMass(now);
  }

  /**
   * True if at the last `observe` more than half (and more than one) were silent, of all or of a service with a gate of
   * its own.
   */
  get isMass(): boolean {
    return this.#isMass;
  }

  /** True if silence may make an instance of this service CRITICAL now. Report each one with `use`. */
  permit(service: string, now: number): boolean {
    return this.hold(service, now) === null;
  }

  /** The rule that forbids it, that of the registry first; null if it is permitted. */
  hold(service: string, now: number): Hold | null {
    const registry = this.#registry.hold(now);
    if (registry !== null) return registry;
    const scope = this.#services.get(service);
    return scope?.isGated(now) === true ? scope.hold(now) : null;
  }

  /**
   * Records that silence made an instance of this service CRITICAL: it counts for ten minutes, whether it is removed or
   * comes back.
   */
  use(service: string, now: number): void {
    this.#registry.use(now);
    this.#scopeOf(service).use(now);
  }

  /** The current hold for operators: that of the registry, else the oldest one of a service. */
  describe(now: number): PreservationState {
    if (this.#doubtedAt !== null) return { active: true, text: DOUBT_TEXT, since: this.#doubtedAt };
    const holds = this.#gated(now)
      .map((scope) => scope.shownHold(now))
      .filter((hold) => hold !== null);
    const shown = this.#registry.shownHold(now) ?? holds.toSorted((a, b) => a.since - b.since)[0];
    return shown === undefined ? OFF : { active: true, text: shown.text, since: shown.since };
  }

  /** Reports the registry as a whole, including the doubt about refusals as a rule of its own. */
  report(now: number): ScopeReport {
    const report = this.#registry.report(now);
    if (this.#doubtedAt === null) return report;
    return { ...report, rule: 'doubt', text: DOUBT_TEXT, since: this.#doubtedAt };
  }

  /** The services whose own gate holds an instance now, by the key that `observe` received. */
  holding(now: number): ReadonlyMap<string, ScopeReport> {
    const holding = new Map<string, ScopeReport>();
    for (const [service, scope] of this.#services) {
      if (scope.isGated(now) && scope.shownHold(now) !== null) holding.set(service, scope.report(now));
    }
    return holding;
  }

  /**
   * Records the proved instances whose last call was refused, each with its host; `total`: number of proved instances.
   * If they are more than half, on at least three hosts, the registry doubts its own network until fewer than half were
   * refused for 2 intervals. Returns `doubtsProofs`: while true, proofs of death that are not final count as silence.
   */
  observeRefusals(now: number, refused: readonly { readonly host: string }[], total: number): boolean {
    if (refused.length > total / 2 && new Set(refused.map(({ host }) => host)).size >= MASS_MIN_HOSTS) {
      this.#doubtedAt ??= now;
    }
    if (this.#doubtedAt === null) return false;
    // an empty registry is calm, too, else it would doubt for ever
    if (refused.length >= total / 2 && total > 0) this.#calmAt = null;
    else this.#calmAt ??= now;
    if (this.#calmAt !== null && now - this.#calmAt >= this.#calmMs) {
      this.#doubtedAt = null;
      this.#calmAt = null;
    }
    return this.doubtsProofs;
  }

  /** As of the last `observeRefusals`. */
  get doubtsProofs(): boolean {
    return this.#doubtedAt !== null;
  }

  save(now: number): SavedPreservation {
    const services = [...this.#services].map(([service, scope]) => [service, scope.save(now)] as const);
    return { registry: this.#registry.save(now), services: Object.fromEntries(services) };
  }

  /** Restores what `save` returned as if no time had passed since, which errs on the safe side. */
  restore(saved: SavedPreservation, now: number): void {
    this.#registry.restore(saved.registry, now);
    for (const [service, scope] of Object.entries(saved.services)) this.#scopeOf(service).restore(scope, now);
  }

  /** The same as a search in `#gated` without an array, as it runs several times a second. */
  #hasGatedMass(now: number): boolean {
    for (const scope of this.#services.values()) {
      if (scope.isMass && scope.isGated(now)) return true;
    }
    return false;
  }

  #gated(now: number): Scope[] {
    return [...this.#services.values()].filter((scope) => scope.isGated(now));
  }

  #scopeOf(service: string): Scope {
    const known = this.#services.get(service);
    if (known !== undefined) return known;
    const scope = new Scope(`instances of ${service}`, this.#afterMassMs);
    this.#services.set(service, scope);
    return scope;
  }
}

const NO_INSTANCES: Count = { total: 0, silent: 0 };
const OFF: PreservationState = { active: false, text: 'off: no instance is held', since: null };
const DOUBT_TEXT =
  'More than half of all instances refuse connections at once: the registry doubts its own network and does not treat a refusal as a death';

/** A population with its own allowance: the whole registry, or one service. */
class Scope {
  readonly #subject: string;
  readonly #afterMassMs: number;
  readonly #peak = new Peak();
  /** The times at which silence acted within the window, oldest first. */
  #uses: number[] = [];
  #count: Count = NO_INSTANCES;
  #massSince: number | null = null;
  #massEndedAt = -Infinity;

  constructor(subject: string, afterMassMs: number) {
    this.#subject = subject;
    this.#afterMassMs = afterMassMs;
  }

  observe(now: number, count: Count): void {
    this.#count = count;
    this.#peak.set(now, count.total - (count.unheard ?? 0));
    if (count.silent > 1 && count.silent > count.total / 2) {
      this.#massSince ??= now;
    } else if (this.#massSince !== null) {
      this.#massSince = null;
      this.#massEndedAt = now;
    }
  }

  get isMass(): boolean {
    return this.#massSince !== null;
  }

  peak(now: number): number {
    return this.#peak.at(now);
  }

  /**
   * For a service: true if it has, or recently had, enough instances for a gate of its own. Unheard instances count
   * here, as they need protection.
   */
  isGated(now: number): boolean {
    return Math.max(this.#count.total, this.peak(now)) >= SMALLEST_SERVICE;
  }

  use(now: number): void {
    this.#expire(now);
    this.#uses.push(now);
  }

  hold(now: number): Hold | null {
    const { total, silent } = this.#count;
    if (this.#massSince !== null && now - this.#massSince < MASS_HOLD_MS) {
      return {
        rule: 'mass',
        since: this.#massSince,
        text: `${silent} of ${total} ${this.#subject} are silent at once, so silence takes none of them out for an hour, or until fewer are silent`,
      };
    }
    this.#expire(now);
    const last = this.#uses.at(-1);
    if (last !== undefined && this.#uses.length >= this.#allowed(now)) {
      return {
        rule: 'allowance',
        since: last,
        text: `silence took out ${this.#uses.length} of ${this.peak(now)} ${this.#subject} within ten minutes, which is the maximum`,
      };
    }
    if (now - this.#massEndedAt < this.#afterMassMs) {
      return {
        rule: 'after-mass',
        since: this.#massEndedAt,
        text: `most ${this.#subject} were silent a moment ago, so silence takes none of them out until they have had time to come back`,
      };
    }
    return null;
  }

  /** As `hold`, but a used-up allowance is not shown while no instance is silent. */
  shownHold(now: number): Hold | null {
    const hold = this.hold(now);
    return hold?.rule === 'allowance' && this.#count.silent === 0 ? null : hold;
  }

  report(now: number): ScopeReport {
    const { rule = null, text = null, since = null } = this.shownHold(now) ?? {};
    const { total, silent } = this.#count;
    this.#expire(now);
    return {
      used: this.#uses.length,
      allowed: this.#allowed(now),
      peak: this.peak(now),
      total,
      silent,
      rule,
      text,
      since,
    };
  }

  /** True if the scope has no state worth keeping. */
  isIdle(now: number): boolean {
    this.#expire(now);
    return this.peak(now) === 0 && this.#uses.length === 0 && now - this.#massEndedAt >= this.#afterMassMs;
  }

  save(now: number): SavedScope {
    this.#expire(now);
    return { usedAgoMs: this.#uses.map((at) => now - at), peak: this.peak(now) };
  }

  restore(saved: SavedScope, now: number): void {
    this.#uses = saved.usedAgoMs.map((ago) => now - ago);
    this.#peak.set(now, saved.peak);
  }

  #allowed(now: number): number {
    return Math.max(1, Math.floor(ALLOWED_RATIO * this.peak(now)));
  }

  #expire(now: number): void {
    const first = this.#uses.findIndex((at) => now - at < WINDOW_MS);
    if (first !== 0) this.#uses = first < 0 ? [] : this.#uses.slice(first);
  }
}

/** The maximum within the window; each value counts until it was replaced. */
class Peak {
  #current = 0;
  /** Earlier values and when each was replaced: later means lower. */
  readonly #former: { readonly until: number; readonly value: number }[] = [];

  set(now: number, value: number): void {
    if (value === this.#current) return;
    while ((this.#former.at(-1)?.value ?? Infinity) <= this.#current) this.#former.pop();
    this.#former.push({ until: now, value: this.#current });
    this.#current = value;
  }

  at(now: number): number {
    while ((this.#former[0]?.until ?? Infinity) <= now - WINDOW_MS) this.#former.shift();
    return Math.max(this.#current, this.#former[0]?.value ?? 0);
  }
}
