import { isMetadata, messageOf, termsOf } from '@rollcall/core';
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
import { storedOf } from '../instances/instance-table.js';
import type { Entry, InstanceTable } from '../instances/instance-table.js';
import type { LifecycleEngine } from '../lifecycle/engine.js';
import type { Outcome } from '../registry-api.js';
import { spanText } from '../runtime/span-text.js';
import type { StoredInstance } from '../store/store.js';
import type { WriteBehind } from '../store/write-behind.js';
import { isEndOf, without, withPatch, SETTINGS } from './override-settings.js';
import type { PatchOrigin } from './override-settings.js';

/** Keys of metadata that a text names at most, and their length in all, characters. */
const MAX_KEYS = 5;
const MAX_KEY_CHARACTERS = 200;
/** The longest time of an operator's setting, ms. */
const LONGEST_MS = 30 * 24 * 3_600_000;

/** The values that callers get for an instance: the operator's setting where there is one, else its own. */
export function effective(
  own: OwnSettings,
  override: Override | null,
): Pick<Instance, 'admin' | 'weight' | 'metadata'> {
  return {
    admin: override?.admin ?? 'ENABLED',
    weight: override?.weight ?? own.weight,
    metadata: together(own.metadata, override?.metadata ?? null) ?? own.metadata,
  };
}

/** An instance's own settings and its operator's, from a store. */
export function restored({ record, own, override }: StoredInstance): Pick<Entry, 'own' | 'override'> {
  return { own: own ?? { weight: record.weight, metadata: record.metadata }, override: override ?? null };
}

/** Both, the second before the first; null where they are too much together. */
function together(own: Metadata, other: Metadata | null): Metadata | null {
  if (other === null) return own;
  const both = { ...own, ...other };
  return isMetadata(both) ? both : null;
}

/** Monotonic ms; a word without an end is missing. */
type Ends = ReadonlyMap<OverrideSetting, number>;

export interface OverridePorts {
  readonly time: Time;
  readonly log: Log;
  readonly engine: LifecycleEngine;
  readonly table: InstanceTable;
  readonly writeBehind: Pick<WriteBehind, 'acknowledge'>;
  /** The entry of an id, or why there is none. */
  readonly known: (id: string) => Outcome<Entry>;
}

/**
 * What operators say of instances. It is kept apart from what they say themselves: a registration replaces their words and never
 * his, also where silence had removed the instance before. It never changes a state. It is stored before it is acknowledged, ends
 * with its instance's tombstone or goodbye, and each word, where it was told so, by itself: by monotonic time from the moment it was told,
 * and after a restart with what is left by the wall clock, never more than was left when it was stored.
 */
export class Overrides {
  readonly #ports: OverridePorts;
  /** When words about an instance end, monotonic ms. */
  readonly #ends = new Map<string, Ends>();

  constructor(ports: OverridePorts) {
    this.#ports = ports;
  }

  /** Takes up what was said before the registry restarted. */
  resume(): void {
    const { time, table } = this.#ports;
    for (const { id, override } of [...table.all(), ...table.tombstonesBefore(Infinity)]) {
      if (override === undefined || override === null || override.untilMs === null) continue;
      const ends = new Map<OverrideSetting, number>();
      for (const word of SETTINGS) {
        const { untilMs } = termsOf(override, word);
        if (override[word] === null || untilMs === null) continue;
        ends.set(word, time.now() + Math.max(0, Math.min(untilMs - time.wall(), untilMs - override.since)));
      }
      this.#ends.set(id, ends);
    }
  }

  /** Adds a word of an operator, `who` in words. Refused: INVALID, NOT_FOUND, ENDED, LEAVING; NOT_READY where it cannot be stored. */
  async tell(id: string, patch: InstancePatch, who?: string): Promise<Outcome<Entry>> {
    const { time, known } = this.#ports;
    const lasts = this.#lasts(patch);
    if (!lasts.ok) return lasts;
    const endsAt = time.now() + lasts.value;
    // until nothing changes while it is being stored: what is stored of an instance is always all of it
    for (;;) {
      const found = known(id);
      if (!found.ok) return found;
      const entry = found.value;
      const next = nextOf(entry, patch, { wall: time.wall(), by: who ?? '' });
      if (!next.ok) return next;
      const override = next.value;
      if (override === entry.override) return found;
      const { record } = entry;
      const refused = await this.#store(entry, override);
      if (refused !== null) return refused;
      if (!entry.present || entry.record !== record) continue;
      this.#setEnds(id, override, patch, endsAt);
      this.#apply(entry, override, withName(deedOf({ entry, next: override, patch, wall: time.wall() }), who));
      return found;
    }
  }

  /** Ends what is over. */
  sweep(): void {
    const { time, table } = this.#ports;
    const now = time.now();
    for (const [id, ends] of this.#ends) {
      const entry = table.get(id);
      const tombstone = table.tombstone(id);
      if (entry === undefined && tombstone === undefined) this.#ends.delete(id);
      const over = new Set(SETTINGS.filter((word) => (ends.get(word) ?? Infinity) <= now));
      if (over.size === 0) continue;
      // of a tombstone it is remembered: its instance may be registering again in this moment
      if (tombstone === undefined) this.#forget(id, over);
      else if (saysAny(tombstone.override, over)) table.reword(id, without(tombstone.override, over));
      const said = entry?.override ?? undefined;
      if (entry !== undefined && saysAny(said, over)) {
        const left = without(said, over);
        this.#apply(entry, left, expiryOf(over, said, left, time.wall()));
      }
    }
  }

  #setEnds(id: string, override: Override | null, patch: InstancePatch, endsAt: number): void {
    const before = this.#ends.get(id);
    const ends = new Map<OverrideSetting, number>();
    for (const word of SETTINGS) {
      if (override === null || override[word] === null || termsOf(override, word).untilMs === null) continue;
      const isTold = patch.untilMs !== undefined && isEndOf(word, patch);
      ends.set(word, isTold ? endsAt : (before?.get(word) ?? endsAt));
    }
    if (ends.size === 0) this.#ends.delete(id);
    else this.#ends.set(id, ends);
  }

  #forget(id: string, over: ReadonlySet<OverrideSetting>): void {
    const left = [...(this.#ends.get(id) ?? [])].filter(([word]) => !over.has(word));
    if (left.length === 0) this.#ends.delete(id);
    else this.#ends.set(id, new Map(left));
  }

  #apply(entry: Entry, override: Override | null, what: Happening): void {
    entry.override = override;
    this.#ports.engine.amend(entry, effective(entry.own, override), what);
    this.#ports.log.info(`${entry.id}: ${what.text}${what.reason === undefined ? '' : ` (${what.reason.text})`}`);
  }

  /** Null: it is stored. */
  async #store(entry: Entry, override: Override | null): Promise<Outcome<never> | null> {
    const record = { ...entry.record, ...effective(entry.own, override) };
    try {
      await this.#ports.writeBehind.acknowledge({ put: storedOf({ ...entry, record, override }) });
      return null;
    } catch (error) {
      this.#ports.log.error(`The store refused an operator's word on ${entry.id}: ${messageOf(error)}`);
      return refuse('NOT_READY', "The registry cannot store an operator's word now, so it takes none.");
    }
  }

  /** For how long it counts, from now; without an end of its own Infinity. */
  #lasts({ untilMs }: InstancePatch): Outcome<number> {
    if (untilMs === undefined || untilMs === null) return { ok: true, value: Infinity };
    const wall = this.#ports.time.wall();
    const lastsMs = untilMs - wall;
    if (lastsMs > 0 && lastsMs <= LONGEST_MS) return { ok: true, value: lastsMs };
    return invalid(
      'untilMs',
      String(untilMs),
      `in the future (now ${wall}) and at most 30 days (${LONGEST_MS} ms) from now`,
    );
  }
}

function saysAny(override: Override | undefined, words: ReadonlySet<OverrideSetting>): override is Override {
  return override !== undefined && SETTINGS.some((word) => words.has(word) && override[word] !== null);
}

/** What would have been said of it then, unless it may not be said. */
function nextOf(entry: Entry, patch: InstancePatch, said: PatchOrigin): Outcome<Override | null> {
  if (entry.vitals.phase === 'LEAVING') return refuse('LEAVING', `${entry.id} is leaving.`);
  const next = withPatch(entry.override, patch, said);
  const isAbout = patch.admin !== undefined || patch.weight !== undefined || patch.metadata !== undefined;
  if (next === null && !isAbout) {
    return invalid(
      '',
      'a reason or an end, for nothing',
      'one of `admin`, `weight`, `metadata`, since no word of an operator counts yet',
    );
  }
  const isMore = next !== null && next.metadata !== entry.override?.metadata;
  if (isMore && together(entry.own.metadata, next.metadata) === null) {
    return invalid(
      'metadata',
      'too much, with what the instance says itself',
      'at most 64 keys and 4096 bytes of UTF-8 in all',
    );
  }
  return { ok: true, value: next };
}

function invalid(path: string, received: string, allowed: string): Outcome<never> {
  const detail = 'The body cannot be followed now.';
  const fix = 'Correct what `flaws` lists; nothing was stored.';
  return { ok: false, problem: { code: 'INVALID', detail, fix, flaws: [{ path, received, allowed }] } };
}

/** The words whose time is over, and what the operator has set besides. */
function expiryOf(
  over: ReadonlySet<OverrideSetting>,
  before: Override,
  left: Override | null,
  wall: number,
): Happening {
  const ended = SETTINGS.filter((word) => over.has(word) && before[word] !== null).map((word) => nameOf(before, word));
  const rest = left === null ? '' : `; still set by an operator: ${setText(left, wall)}`;
  return { kind: 'admin', by: 'registry', text: `${ended.join(', ')} ended: the time set for it is over${rest}` };
}

/** What an operator did, with the name by which people know him. */
function withName(what: Happening, who: string | undefined): Happening {
  return who === undefined ? what : { ...what, text: `${what.text} (${who})` };
}

interface Deed {
  /** As it was before. */
  readonly entry: Pick<Entry, 'own' | 'override'>;
  readonly next: Override | null;
  readonly patch: InstancePatch;
  readonly wall: number;
}

/** What one patch changed, with the reason and the end that it gave. */
function deedOf(deed: Deed): Happening {
  const { next, patch, wall } = deed;
  const changed = changedBy(deed);
  // a reason or an end alone belongs to every word
  const isAlone = changed.length === 0;
  const set = SETTINGS.filter((word) => (next?.[word] ?? null) !== null);
  const [told] = isAlone ? set : changed.filter((word) => set.includes(word));
  const text = isAlone
    ? `${next === null ? 'nothing' : setText(next, wall)}: reason or end changed`
    : changed.map((word) => changeText(deed, word)).join(', ');
  const untilMs = next === null || told === undefined ? null : termsOf(next, told).untilMs;
  const reason = patch.reason ?? '';
  return {
    kind: 'admin',
    by: 'operator',
    text: `${text} by an operator${isAlone || next === null || told === undefined ? '' : spanOf(next, told, wall)}`,
    ...(reason === '' ? {} : { reason: { code: 'OPERATOR', text: reason } }),
    ...(untilMs === null ? {} : { untilMs }),
  };
}

/** The words of a patch that say something else than before; where none does, all that it names: their reason or end is another one. */
function changedBy({ entry: { override: before }, next, patch }: Deed): readonly OverrideSetting[] {
  const named = SETTINGS.filter((word) => patch[word] !== undefined);
  const changed = named.filter(
    (word) => JSON.stringify(before?.[word] ?? null) !== JSON.stringify(next?.[word] ?? null),
  );
  return changed.length > 0 ? changed : named;
}

function changeText({ entry, next }: Deed, word: OverrideSetting): string {
  const { own, override: before } = entry;
  if (word === 'admin') {
    if (next?.admin === 'DRAINING') return 'drained';
    if (next?.admin === 'MAINTENANCE') return 'put into maintenance';
    if (before?.admin === 'MAINTENANCE') return 'taken out of maintenance';
    return before?.admin === 'DRAINING' ? 'undrained' : 'enabled';
  }
  if (next === null || next[word] === null)
    return `${word} back to its own${word === 'weight' ? ` ${own.weight}` : ''}`;
  return word === 'weight' ? `weight set to ${next.weight}` : `${nameOf(next, word)} set`;
}

/** The settings of an operator, each with the rest of its time at `wall`. */
const setText = (override: Override, wall: number): string =>
  SETTINGS.filter((word) => override[word] !== null)
    .map((word) => `${nameOf(override, word)}${spanOf(override, word, wall)}`)
    .join(', ');

function nameOf({ admin, weight, metadata }: Override, word: OverrideSetting): string {
  if (word === 'admin') return admin === 'MAINTENANCE' ? 'maintenance' : 'drain';
  if (word === 'weight') return `weight ${weight}`;
  const keys = Object.keys(metadata ?? {}).slice(0, MAX_KEYS);
  return `metadata ${keys.join(' ').slice(0, MAX_KEY_CHARACTERS)}`;
}

/** ` for 60 min`; empty: without an end. */
function spanOf(override: Override, word: OverrideSetting, wall: number): string {
  const { untilMs } = termsOf(override, word);
  return untilMs === null ? '' : ` for ${spanText(Math.max(0, untilMs - wall))}`;
}
