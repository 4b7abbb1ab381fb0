import { AWAY_ACTIONS, isMetadata, messageOf, termsOf } from '@rollcall/core';
import type {
  Instance,
  InstancePatch,
  Log,
  Metadata,
  Override,
  OverrideSetting,
  OwnSettings,
  Time,
} from '@rollcall/core';
import { refuse } from '../access/refusals.js';
import type { Happening } from '../activity/events.js';
import type { CommitLog } from '../commit/commit-log.js';
import { storedOf } from '../instances/instance-table.js';
import type { Entry, InstanceTable } from '../instances/instance-table.js';
import type { LifecycleEngine } from '../lifecycle/engine.js';
import type { Outcome } from '../registry-api.js';
import { spanText } from '../runtime/span-text.js';
import type { StoredInstance } from '../store/store.js';
import { isEndOf, withoutSettings, withPatch, SETTINGS } from './override-settings.js';
import type { PatchOrigin } from './override-settings.js';

/** The maximum number of metadata keys in a text, and the maximum of their total length, characters. */
const MAX_KEYS = 5;
const MAX_KEY_CHARACTERS = 200;
/** The maximum duration of an operator's setting, ms. */
const MAX_DURATION_MS = 30 * 24 * 3_600_000;

/** The values that callers get for an instance: the operator's setting where there is one, else its own. */
export function effectiveSettings(
  own: OwnSettings,
  override: Override | null,
): Pick<Instance, 'admin' | 'weight' | 'metadata'> {
  return {
    admin: override?.admin ?? 'ENABLED',
    weight: override?.weight ?? own.weight,
    metadata: mergeMetadata(own.metadata, override?.metadata ?? null) ?? own.metadata,
  };
}

/** An instance's own settings and its operator's, from a store. */
export function restoredSettings({ record, own, override }: StoredInstance): Pick<Entry, 'own' | 'override'> {
  return { own: own ?? { weight: record.weight, metadata: record.metadata }, override: override ?? null };
}

/** Merges both, where the second takes precedence; null if the result exceeds the limits of metadata. */
function mergeMetadata(own: Metadata, other: Metadata | null): Metadata | null {
  if (other === null) return own;
  const both = { ...own, ...other };
  return isMetadata(both) ? both : null;
}

/** The ends of settings, monotonic ms; a setting without an end is absent. */
type Ends = ReadonlyMap<OverrideSetting, number>;

export interface OverridePorts {
  readonly time: Time;
  readonly log: Log;
  readonly engine: LifecycleEngine;
  readonly table: InstanceTable;
  readonly commits: Pick<CommitLog, 'acknowledge'>;
  /** The entry of an id, or the refusal. */
  readonly entryOf: (id: string) => Outcome<Entry>;
}

/**
 * The settings of operators for instances, kept apart from the instances' own values: a registration replaces the
 * values and never the settings, even if silence had removed the instance before. A setting never changes a state. It
 * is stored before it is acknowledged. It ends with the tombstone or goodbye of its instance, or at its own end: by
 * monotonic time from the moment it was set, and after a restart by the wall clock, for at most the time that was left
 * when it was stored.
 */
export class Overrides {
  readonly #ports: OverridePorts;
  /** The ends of the settings of each instance, monotonic ms. */
  readonly #ends = new Map<string, Ends>();

  constructor(ports: OverridePorts) {
    this.#ports = ports;
  }

  /** Restores the ends of settings from before the restart. */
  resume(): void {
    const { time, table } = this.#ports;
    for (const { id, override } of [...table.all(), ...table.tombstonesBefore(Infinity)]) {
      if (override === undefined || override === null || override.untilMs === null) continue;
      const ends = new Map<OverrideSetting, number>();
      for (const setting of SETTINGS) {
        const { untilMs } = termsOf(override, setting);
        if (override[setting] === null || untilMs === null) continue;
        ends.set(setting, time.now() + Math.max(0, Math.min(untilMs - time.wall(), untilMs - override.since)));
      }
      this.#ends.set(id, ends);
    }
  }

  /**
   * Applies a patch of an operator; `who` is the operator as text. Refused: INVALID, NOT_FOUND, ENDED, LEAVING;
   * NOT_READY if it cannot be stored.
   */
  async amend(id: string, patch: InstancePatch, who?: string): Promise<Outcome<Entry>> {
    const { time, entryOf } = this.#ports;
    const duration = this.#durationOf(patch);
    if (!duration.ok) return duration;
    const endsAt = time.now() + duration.value;
    // repeated until nothing changes during the write: the store always gets the whole instance
    for (;;) {
      const found = entryOf(id);
      if (!found.ok) return found;
      const entry = found.value;
      const next = patchedOverride(entry, patch, { wall: time.wall(), by: who ?? '' });
      if (!next.ok) return next;
      const override = next.value;
      if (override === entry.override) return found;
      const { record } = entry;
      const refused = await this.#store(entry, override);
      if (refused !== null) return refused;
      if (!entry.present || entry.record !== record) continue;
      this.#setEnds(id, override, patch, endsAt);
      this.#apply(entry, override, withAuthor(patchEvent({ entry, next: override, patch, wall: time.wall() }), who));
      return found;
    }
  }

  /** Ends the settings that have expired. */
  sweep(): void {
    const { time, table } = this.#ports;
    const now = time.now();
    for (const [id, ends] of this.#ends) {
      const entry = table.get(id);
      const tombstone = table.tombstone(id);
      if (entry === undefined && tombstone === undefined) this.#ends.delete(id);
      const expired = new Set(SETTINGS.filter((setting) => (ends.get(setting) ?? Infinity) <= now));
      if (expired.size === 0) continue;
      // the ends of a tombstone are kept: its instance may be registering again at this moment
      if (tombstone === undefined) this.#forget(id, expired);
      else if (hasAny(tombstone.override, expired))
        table.replaceTombstoneOverride(id, withoutSettings(tombstone.override, expired));
      const current = entry?.override ?? undefined;
      if (entry !== undefined && hasAny(current, expired)) {
        const remaining = withoutSettings(current, expired);
        this.#apply(entry, remaining, expiryEvent(expired, current, remaining, time.wall()));
      }
    }
  }

  #setEnds(id: string, override: Override | null, patch: InstancePatch, endsAt: number): void {
    const before = this.#ends.get(id);
    const ends = new Map<OverrideSetting, number>();
    for (const setting of SETTINGS) {
      if (override === null || override[setting] === null || termsOf(override, setting).untilMs === null) continue;
      const hasNewEnd = patch.untilMs !== undefined && isEndOf(setting, patch);
      ends.set(setting, hasNewEnd ? endsAt : (before?.get(setting) ?? endsAt));
    }
    if (ends.size === 0) this.#ends.delete(id);
    else this.#ends.set(id, ends);
  }

  #forget(id: string, expired: ReadonlySet<OverrideSetting>): void {
    const remaining = [...(this.#ends.get(id) ?? [])].filter(([setting]) => !expired.has(setting));
    if (remaining.length === 0) this.#ends.delete(id);
    else this.#ends.set(id, new Map(remaining));
  }

  #apply(entry: Entry, override: Override | null, what: Happening): void {
    entry.override = override;
    this.#ports.engine.amend(entry, effectiveSettings(entry.own, override), what);
    this.#ports.log.info(`${entry.id}: ${what.text}${what.reason === undefined ? '' : ` (${what.reason.text})`}`);
  }

  /** Stores the entry with this override; returns null, or the refusal if the store fails. */
  async #store(entry: Entry, override: Override | null): Promise<Outcome<never> | null> {
    const record = { ...entry.record, ...effectiveSettings(entry.own, override) };
    try {
      await this.#ports.commits.acknowledge(storedOf({ ...entry, record, override }));
      return null;
    } catch (error) {
      this.#ports.log.error(`The store refused an operator's setting of ${entry.id}: ${messageOf(error)}`);
      return refuse('NOT_READY', "The registry cannot store an operator's setting now, so it accepts none.");
    }
  }

  /** The duration of the patch from now, ms; Infinity without an end. */
  #durationOf({ untilMs }: InstancePatch): Outcome<number> {
    if (untilMs === undefined || untilMs === null) return { ok: true, value: Infinity };
    const wall = this.#ports.time.wall();
    const durationMs = untilMs - wall;
    if (durationMs > 0 && durationMs <= MAX_DURATION_MS) return { ok: true, value: durationMs };
    return invalid(
      'untilMs',
      String(untilMs),
      `in the future (now ${wall}) and at most 30 days (${MAX_DURATION_MS} ms) from now`,
    );
  }
}

function hasAny(override: Override | undefined, settings: ReadonlySet<OverrideSetting>): override is Override {
  return override !== undefined && SETTINGS.some((setting) => settings.has(setting) && override[setting] !== null);
}

/** The override after the patch, or the refusal. */
function patchedOverride(entry: Entry, patch: InstancePatch, origin: PatchOrigin): Outcome<Override | null> {
  if (entry.vitals.phase === 'LEAVING') return refuse('LEAVING', `${entry.id} is leaving.`);
  const next = withPatch(entry.override, patch, origin);
  const hasSetting = patch.admin !== undefined || patch.weight !== undefined || patch.metadata !== undefined;
  if (next === null && !hasSetting) {
    return invalid(
      '',
      'a reason or an end without a setting',
      'one of `admin`, `weight`, `metadata`, since no setting of an operator is in force yet',
    );
  }
  const hasNewMetadata = next !== null && next.metadata !== entry.override?.metadata;
  if (hasNewMetadata && mergeMetadata(entry.own.metadata, next.metadata) === null) {
    return invalid(
      'metadata',
      'too much together with the own metadata of the instance',
      'at most 64 keys and 4096 bytes of UTF-8 in all',
    );
  }
  return { ok: true, value: next };
}

function invalid(path: string, received: string, allowed: string): Outcome<never> {
  const detail = 'The body cannot be applied now.';
  const fix = 'Correct what `flaws` lists; nothing was stored.';
  return { ok: false, problem: { code: 'INVALID', detail, fix, flaws: [{ path, received, allowed }] } };
}

/** The event of settings that have ended, with those that are still in force. */
function expiryEvent(
  expired: ReadonlySet<OverrideSetting>,
  before: Override,
  remaining: Override | null,
  wall: number,
): Happening {
  const ended = SETTINGS.filter((setting) => expired.has(setting) && before[setting] !== null).map((setting) =>
    nameOf(before, setting),
  );
  const rest = remaining === null ? '' : `; still set by an operator: ${setText(remaining, wall)}`;
  return { kind: 'admin', by: 'registry', text: `${ended.join(', ')} ended: the time set for it is over${rest}` };
}

/** The event, with the name of the operator. */
function withAuthor(what: Happening, who: string | undefined): Happening {
  return who === undefined ? what : { ...what, text: `${what.text} (${who})` };
}

interface OverrideChange {
  /** The instance before the patch. */
  readonly entry: Pick<Entry, 'own' | 'override'>;
  readonly next: Override | null;
  readonly patch: InstancePatch;
  readonly wall: number;
}

/** The event of one patch: the settings that it changed, with its reason and end. */
function patchEvent(change: OverrideChange): Happening {
  const { next, patch, wall } = change;
  const changed = changedSettings(change);
  // a reason or an end alone applies to every setting
  const isTermsOnly = changed.length === 0;
  const set = SETTINGS.filter((setting) => (next?.[setting] ?? null) !== null);
  const [reported] = isTermsOnly ? set : changed.filter((setting) => set.includes(setting));
  const text = isTermsOnly
    ? `${next === null ? 'nothing' : setText(next, wall)}: reason or end changed`
    : changed.map((setting) => changeText(change, setting)).join(', ');
  const untilMs = next === null || reported === undefined ? null : termsOf(next, reported).untilMs;
  const reason = patch.reason ?? '';
  return {
    kind: 'admin',
    by: 'operator',
    text: `${text} by an operator${isTermsOnly || next === null || reported === undefined ? '' : spanOf(next, reported, wall)}`,
    ...(reason === '' ? {} : { reason: { code: 'OPERATOR', text: reason } }),
    ...(untilMs === null ? {} : { untilMs }),
  };
}

/** The settings that a patch changes; if it changes no value, all that it names: their reason or end has changed. */
function changedSettings({ entry: { override: before }, next, patch }: OverrideChange): readonly OverrideSetting[] {
  const named = SETTINGS.filter((setting) => patch[setting] !== undefined);
  const changed = named.filter(
    (setting) => JSON.stringify(before?.[setting] ?? null) !== JSON.stringify(next?.[setting] ?? null),
  );
  return changed.length > 0 ? changed : named;
}

function changeText({ entry, next }: OverrideChange, setting: OverrideSetting): string {
  const { own, override: before } = entry;
  if (setting === 'admin') {
    const [now, then] = [next?.admin ?? 'ENABLED', before?.admin ?? 'ENABLED'];
    if (now !== 'ENABLED') return AWAY_ACTIONS[now].done;
    return then === 'ENABLED' ? 'enabled' : AWAY_ACTIONS[then].undone;
  }
  if (next === null || next[setting] === null)
    return `${setting} back to its own${setting === 'weight' ? ` ${own.weight}` : ''}`;
  return setting === 'weight' ? `weight set to ${next.weight}` : `${nameOf(next, setting)} set`;
}

/** The settings of an operator, each with the rest of its time at `wall`. */
const setText = (override: Override, wall: number): string =>
  SETTINGS.filter((setting) => override[setting] !== null)
    .map((setting) => `${nameOf(override, setting)}${spanOf(override, setting, wall)}`)
    .join(', ');

function nameOf({ admin, weight, metadata }: Override, setting: OverrideSetting): string {
  if (setting === 'admin') return admin === null || admin === 'ENABLED' ? 'enabled' : AWAY_ACTIONS[admin].name;
  if (setting === 'weight') return `weight ${weight}`;
  const keys = Object.keys(metadata ?? {}).slice(0, MAX_KEYS);
  return `metadata ${keys.join(' ').slice(0, MAX_KEY_CHARACTERS)}`;
}

/** ` for 60 min`; empty: without an end. */
function spanOf(override: Override, setting: OverrideSetting, wall: number): string {
  const { untilMs } = termsOf(override, setting);
  return untilMs === null ? '' : ` for ${spanText(Math.max(0, untilMs - wall))}`;
}
