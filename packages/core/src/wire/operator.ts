/** The settings of operators for instances, and the events of the history. */
import type { Reason } from '../lifecycle/reason.js';
import { STATES } from '../lifecycle/vitals.js';
import type { State } from '../lifecycle/vitals.js';
import { integer, nullable, ONE_LINE, oneOf, openEnum, text } from '../options/kinds.js';
import { Flaws, isRecord, message, optional, required } from '../options/schema.js';
import type { Kind, Message } from '../options/schema.js';
import { ADMIN_STATES } from './instance.js';
import type { AdminState, Instance, Metadata } from './instance.js';
import { ID, METADATA, NAME, reasonMessage, REVISION, WALL_CLOCK, WEIGHT } from './protocol.js';

// ---- settings of operators ------------------------------------------------------------------------------------------

/** By key: a text overrides the instance's own value, null removes the operator's value. */
export type MetadataChanges = Readonly<Record<string, string | null>>;

/** `PATCH /api/v1/instances/{id}`: the settings of an operator for an instance. Missing fields stay unchanged. */
export interface InstancePatch {
  /** ENABLED removes the operator's setting. It never changes the state. */
  readonly admin?: AdminState;
  /** 0 … 1,000; null removes the operator's setting. */
  readonly weight?: number | null;
  /** Null removes all of the operator's settings of the metadata. */
  readonly metadata?: MetadataChanges | null;
  /** The reason of this patch, for display: at most 200 characters, one line. */
  readonly reason?: string;
  /**
   * The end of the settings of this patch (of all settings if it has none): wall clock, ms since 1970; null: no end. A
   * setting without an end is kept until it is removed.
   */
  readonly untilMs?: number | null;
}

const WHY = text({ max: 200, pattern: ONE_LINE, allowed: 'at most 200 characters, one line' });

/** The description of the allowed reasons. */
export const WHY_ALLOWED = WHY.allowed;

/** True if this is a valid reason. */
export function isWhy(value: string): boolean {
  return WHY.read(value, new Flaws()) !== undefined;
}

const CHANGES_ALLOWED = `${METADATA.allowed}; \`null\` removes a key`;

/** The limits of metadata, and null where a text may stand. */
const METADATA_CHANGES: Kind<MetadataChanges> = {
  allowed: CHANGES_ALLOWED,
  jsonSchema: { ...METADATA.jsonSchema, additionalProperties: { type: ['string', 'null'] } },
  parts: [],
  read(value, flaws) {
    if (!isRecord(value)) return flaws.add(value, CHANGES_ALLOWED);
    const entries = Object.entries(value);
    const texts = METADATA.read(
      Object.fromEntries(entries.map(([key, item]) => [key, item === null ? '' : item])),
      flaws,
    );
    return (
      texts && Object.fromEntries(Object.entries(texts).map(([key, item]) => [key, value[key] === null ? null : item]))
    );
  },
};

export const instancePatchMessage: Message<InstancePatch> = message<InstancePatch>(
  'InstancePatch',
  'The settings of an operator for an instance. They override the instance’s own values, also when those change; missing fields stay unchanged.',
  {
    admin: optional(oneOf(ADMIN_STATES), 'only `ENABLED` instances are called; `ENABLED` removes the setting'),
    weight: optional(nullable(WEIGHT), 'instead of its own; `null` removes the setting'),
    metadata: optional(
      nullable(METADATA_CHANGES),
      'keys to set besides its own, or instead of them; `null` for a key, or for all, removes the setting',
    ),
    reason: optional(WHY, 'the reason of this body, for display'),
    untilMs: optional(
      nullable(integer(0, 8.64e15)),
      'wall clock, ms since 1970: the end of the settings of this body (of all settings if it has none), in the future and at most 30 days from now; `null`, or a setting without an end: never',
    ),
  },
  (patch, flaws) => {
    if (Object.keys(patch).length > 0) return;
    flaws.note('nothing', 'at least one of `admin`, `weight`, `metadata`, `reason`, `untilMs`');
  },
);

/** The settings that an operator may override. */
export type OverrideSetting = 'admin' | 'weight' | 'metadata';

/** The reason, start and end of one setting of an operator. */
export interface OverrideTerms {
  /** For display; may be empty. */
  readonly reason: string;
  /** Wall clock, ms since 1970, when it was set to this value: for display only. */
  readonly since: number;
  /** Wall clock, ms since 1970, when it ends by itself; null: it does not. The end is decided by monotonic time. */
  readonly untilMs: number | null;
  /** The operator, for display: `token 3f2a from 10.0.0.7`. Empty if the registry does not identify operators. */
  readonly by: string;
}

/** The settings of an operator that are in force. They override the instance's own values. */
export interface Override {
  /** Null: not set, so it is ENABLED. */
  readonly admin: AdminState | null;
  readonly weight: number | null;
  /** Never empty. */
  readonly metadata: Metadata | null;
  /** The last reason, for display; may be empty. */
  readonly reason: string;
  /** Wall clock of the operator's last setting, ms since 1970: for display only. */
  readonly since: number;
  /** Wall clock, ms since 1970, when the first of the settings ends by itself; null: none does. */
  readonly untilMs: number | null;
  /** For each setting in force. Missing: the values above apply to all of them (from an older registry). */
  readonly settings?: Partial<Readonly<Record<OverrideSetting, OverrideTerms>>>;
}

/** The reason, start and end of a setting, as far as they are known. */
export function termsOf({ settings, reason, since, untilMs }: Override, setting: OverrideSetting): OverrideTerms {
  return settings?.[setting] ?? { reason, since, untilMs, by: '' };
}

/** The values of an instance that may be overridden. */
export type OwnSettings = Pick<Instance, 'weight' | 'metadata'>;

const overrideTermsMessage = message<OverrideTerms>(
  'OverrideTerms',
  'The reason, start and end of one setting of an operator.',
  {
    reason: required(text({ max: 200, allowed: 'text' }), 'the reason, for display; may be empty'),
    since: required(WALL_CLOCK, 'wall clock, ms since 1970, when it was set to this value: for display only'),
    untilMs: required(nullable(WALL_CLOCK), 'wall clock, ms since 1970, when it ends by itself; `null`: it does not'),
    by: required(text({ max: 400, allowed: 'text' }), 'the operator, for display; empty: operators are not identified'),
  },
);

const overrideSettingsMessage = message<NonNullable<Override['settings']>>(
  'OverrideSettings',
  'The settings in force.',
  {
    admin: optional(overrideTermsMessage, 'missing: not set'),
    weight: optional(overrideTermsMessage, 'missing: not set'),
    metadata: optional(overrideTermsMessage, 'missing: not set'),
  },
);

export const overrideMessage: Message<Override> = message<Override>(
  'Override',
  'The settings of an operator for an instance that are in force. They override the instance’s own values.',
  {
    admin: required(nullable(oneOf(ADMIN_STATES)), '`null`: not set'),
    weight: required(nullable(WEIGHT), '`null`: not set'),
    metadata: required(nullable(METADATA), '`null`: not set'),
    reason: required(text({ max: 200, allowed: 'text' }), 'the last reason, for display; may be empty'),
    since: required(WALL_CLOCK, 'wall clock of the last setting, ms since 1970: for display only'),
    untilMs: required(
      nullable(WALL_CLOCK),
      'wall clock, ms since 1970, when the first of the settings ends by itself; `null`: none does',
    ),
    settings: optional(
      overrideSettingsMessage,
      'reason, start, end and operator of each setting; missing: the values above apply, from an older registry',
    ),
  },
);

/** True if this is valid metadata of an instance: at most 64 keys, 4 KiB in total. */
export function isMetadata(value: unknown): value is Metadata {
  return METADATA.read(value, new Flaws()) !== undefined;
}

// ---- events ---------------------------------------------------------------------------------------------------------

export const EVENT_KINDS = [
  'registered',
  're-registered',
  'state',
  'moved',
  'admin',
  'removed',
  'circuit',
  'preservation',
  'registry',
] as const;
export type EventKind = (typeof EVENT_KINDS)[number];

/** The originator of an event. */
export const ACTORS = ['instance', 'operator', 'registry'] as const;
export type Actor = (typeof ACTORS)[number];

/** One event: originator, subject and reason. Kept in memory only. */
export interface RegistryEvent {
  /** Counts from 1 within one epoch, without a gap. */
  readonly seq: number;
  /** Wall clock, ms since 1970: for display only. */
  readonly at: number;
  readonly kind: EventKind;
  /** Null for an event about the registry as a whole. */
  readonly namespace: string | null;
  readonly service: string | null;
  /** Id of the instance; null for an event about a service or the registry. */
  readonly instance: string | null;
  /** The state after the event; null if there is none. */
  readonly state: State | null;
  /**
   * The reason; for a setting of an operator the code is OPERATOR and the text the operator's reason. Null if `text` is
   * complete.
   */
  readonly reason: Reason | null;
  /** The revision of the record, or the tombstone, after it; null if there is none. */
  readonly revision: number | null;
  readonly by: Actor;
  /** The event in plain words, without a full stop. */
  readonly text: string;
  /**
   * The end of an operator's setting: wall clock, ms since 1970. Missing: it has no end, or the event is not about a
   * setting.
   */
  readonly untilMs?: number;
}

export const registryEventMessage: Message<RegistryEvent> = message<RegistryEvent>(
  'RegistryEvent',
  'One event: originator, subject and reason.',
  {
    seq: required(integer(1), 'counts from 1 within one epoch, without a gap'),
    at: required(WALL_CLOCK, 'wall clock, ms since 1970: for display only'),
    kind: required(openEnum(EVENT_KINDS), 'the kind of event'),
    namespace: required(nullable(NAME), '`null`: it is about the registry as a whole'),
    service: required(nullable(NAME), '`null`: it is about the registry as a whole'),
    instance: required(nullable(ID), 'its id; `null`: it is about a service or the registry'),
    state: required(nullable(oneOf(STATES)), 'the state after it; `null` if there is none'),
    reason: required(
      nullable(reasonMessage),
      'the reason; for a setting of an operator the code is `OPERATOR` and the text the operator’s reason',
    ),
    revision: required(nullable(REVISION), 'of the record, or the tombstone, after it'),
    by: required(openEnum(ACTORS), 'the originator'),
    text: required(text({ max: 2_000, allowed: 'text, at most 2000 characters' }), 'the event in plain words'),
    untilMs: optional(WALL_CLOCK, 'the end of an operator’s setting, wall clock; missing: it has no end'),
  },
);
