/** The settings of an operator for an instance, as a value: a patch changes it, and settings end at their time. */
import { termsOf } from '@rollcall/core';
import type { InstancePatch, Metadata, Override, OverrideTerms, OverrideSetting } from '@rollcall/core';

/** In the order in which they are reported. */
export const SETTINGS: readonly OverrideSetting[] = ['admin', 'weight', 'metadata'];

type Values = Pick<Override, OverrideSetting>;
type Terms = Partial<Readonly<Record<OverrideSetting, OverrideTerms>>>;

/** The time and the author of a patch; `by` is empty if the author is not known. */
export interface PatchOrigin {
  readonly wall: number;
  readonly by: string;
}

/**
 * The override after `patch`; null if no setting is left, and the same object if nothing changes. The reason and end of
 * a patch apply to the settings that it names, or to all settings if it names none: a setting that is made without an
 * end has none, whatever applied before.
 */
export function withPatch(before: Override | null, patch: InstancePatch, origin: PatchOrigin): Override | null {
  const values: Values = {
    admin: patch.admin === undefined ? (before?.admin ?? null) : patch.admin === 'ENABLED' ? null : patch.admin,
    weight: patch.weight === undefined ? (before?.weight ?? null) : patch.weight,
    metadata: metadataAfter(before?.metadata ?? null, patch.metadata),
  };
  const terms: Terms = Object.fromEntries(
    SETTINGS.filter((setting) => values[setting] !== null).map((setting) => [
      setting,
      termsAfter({ setting, before, patch, origin, isSame: isSame(setting, before, values) }),
    ]),
  );
  const hasRemoval =
    before !== null && SETTINGS.some((setting) => before[setting] !== null && values[setting] === null);
  // the reason of a setting that was removed does not apply to the others
  const { reason = hasRemoval ? newestReason(terms) : (before?.reason ?? '') } = patch;
  const next = overrideOf(values, terms, { reason, since: origin.wall });
  return before !== null && next !== null && textOf(before) === textOf(next) ? before : next;
}

/** The settings that are left when these are over; null: none. */
export function withoutSettings(override: Override, expired: ReadonlySet<OverrideSetting>): Override | null {
  const remaining = SETTINGS.filter((setting) => override[setting] !== null && !expired.has(setting));
  const values: Values = {
    admin: expired.has('admin') ? null : override.admin,
    weight: expired.has('weight') ? null : override.weight,
    metadata: expired.has('metadata') ? null : override.metadata,
  };
  const terms: Terms = Object.fromEntries(remaining.map((setting) => [setting, termsOf(override, setting)]));
  return overrideOf(values, terms, { reason: newestReason(terms), since: override.since });
}

function newestReason(terms: Terms): string {
  return Object.values(terms).toSorted((one, other) => other.since - one.since)[0]?.reason ?? '';
}

/** True if the patch decides when this setting ends. */
export function isEndOf(setting: OverrideSetting, patch: InstancePatch): boolean {
  return patch[setting] !== undefined || hasNoSetting(patch);
}

const hasNoSetting = (patch: InstancePatch): boolean => SETTINGS.every((setting) => patch[setting] === undefined);

interface Change {
  readonly setting: OverrideSetting;
  readonly before: Override | null;
  readonly patch: InstancePatch;
  readonly origin: PatchOrigin;
  /** True if the setting has the same value as before. */
  readonly isSame: boolean;
}

function termsAfter({ setting, before, patch, origin, isSame: isUnchanged }: Change): OverrideTerms {
  const known = before === null || before[setting] === null ? null : termsOf(before, setting);
  const { reason, untilMs } = patch;
  if (known !== null && patch[setting] === undefined) {
    if (!hasNoSetting(patch)) return known;
    return { ...known, reason: reason ?? known.reason, untilMs: untilMs === undefined ? known.untilMs : untilMs };
  }
  const since = isUnchanged && known !== null ? known.since : origin.wall;
  const by = isUnchanged && known !== null ? known.by : origin.by;
  return { reason: reason ?? '', since, untilMs: untilMs ?? null, by };
}

function isSame(setting: OverrideSetting, before: Override | null, values: Values): boolean {
  return before !== null && JSON.stringify(sorted(before[setting])) === JSON.stringify(sorted(values[setting]));
}

function overrideOf(
  values: Values,
  terms: Terms,
  reasonAndSince: { readonly reason: string; readonly since: number },
): Override | null {
  const ends = Object.values(terms).flatMap(({ untilMs }) => untilMs ?? []);
  if (Object.keys(terms).length === 0) return null;
  return { ...values, ...reasonAndSince, untilMs: ends.length === 0 ? null : Math.min(...ends), settings: terms };
}

function metadataAfter(before: Metadata | null, changes: InstancePatch['metadata']): Metadata | null {
  if (changes === undefined) return before;
  if (changes === null) return null;
  const entries: [string, string][] = Object.entries(before ?? {}).filter(([key]) => !Object.hasOwn(changes, key));
  for (const [key, value] of Object.entries(changes)) if (value !== null) entries.push([key, value]);
  return entries.length === 0 ? null : Object.fromEntries(entries);
}

/** Everything except the time and the author. */
function textOf(override: Override): string {
  const shown = SETTINGS.filter((setting) => override[setting] !== null).map((setting) => {
    const { reason, untilMs } = termsOf(override, setting);
    return [setting, sorted(override[setting]), reason, untilMs];
  });
  return JSON.stringify([shown, override.reason]);
}

/** The order of keys does not matter. */
function sorted(value: Values[OverrideSetting]): unknown {
  if (value === null || typeof value !== 'object') return value;
  return Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1));
}
