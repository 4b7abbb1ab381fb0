/** What an operator says of an instance, and what people are told of what happened. */
import type { Reason } from '../lifecycle/reason.js';
import { STATES } from '../lifecycle/vitals.js';
import type { State } from '../lifecycle/vitals.js';
import { integer, nullable, ONE_LINE, oneOf, openWord, text } from '../options/kinds.js';
import { Flaws, isRecord, message, optional, required } from '../options/schema.js';
import type { Kind, Message } from '../options/schema.js';
import { ADMIN_STATES } from './instance.js';
import type { AdminState, Instance, Metadata } from './instance.js';
import { ID, METADATA, NAME, reasonMessage, REVISION, WALL_CLOCK, WEIGHT } from './protocol.js';

// ---- what an operator says ------------------------------------------------------------------------------------------

/** By key: a text takes the place of what the instance says itself, null takes the operator's word back. */
export type MetadataChanges = Readonly<Record<string, string | null>>;

/** `PATCH /api/v1/instances/{id}`: what an operator wants of an instance from now on. What it does not name stays as it was. */
export interface InstancePatch {
  /** ENABLED takes the operator's word back. It never changes the state. */
  readonly admin?: AdminState;
  /** 0 … 1,000; null takes the operator's word back. */
  readonly weight?: number | null;
  /** Null takes back all that the operator said of the metadata. */
  readonly metadata?: MetadataChanges | null;
  /** Why the words of this patch are said, for people: at most 200 characters, one line. */
  readonly reason?: string;
  /**
   * When the words of this patch end by themselves (where it names none: all words): wall clock, ms since 1970; null: never. A word that is
   * set without an end has none.
   */
  readonly untilMs?: number | null;
}

const WHY = text({ max: 200, pattern: ONE_LINE, allowed: 'at most 200 characters, one line' });

/** What an operator may give as a reason, in words. */
export const WHY_ALLOWED = WHY.allowed;

/** May this be an operator's reason? */
export function isWhy(value: string): boolean {
  return WHY.read(value, new Flaws()) !== undefined;
}

const CHANGES_ALLOWED = `${METADATA.allowed}; \`null\` takes a key back`;

/** The laws of metadata, and null where a text may stand. */
const METADATA_CHANGES: Kind<MetadataChanges> = {
  allowed: CHANGES_ALLOWED,
  jsonSchema: { ...METADATA.jsonSchema, additionalProperties: { type: ['string', 'null'] } },
  parts: [],
  read(value, flaws) {
    if (!isRecord(value)) return flaws.add(value, CHANGES_ALLOWED);
    const entries = Object.entries(value);
    const words = METADATA.read(
      Object.fromEntries(entries.map(([key, word]) => [key, word === null ? '' : word])),
      flaws,
    );
    return (
      words && Object.fromEntries(Object.entries(words).map(([key, word]) => [key, value[key] === null ? null : word]))
    );
  },
};

export const instancePatchMessage: Message<InstancePatch> = message<InstancePatch>(
  'InstancePatch',
  'What an operator wants of an instance. It counts besides the instance’s own words, whatever those become; what it does not name stays as it was.',
  {
    admin: optional(oneOf(ADMIN_STATES), 'only `ENABLED` instances are called; `ENABLED` takes the word back'),
    weight: optional(nullable(WEIGHT), 'instead of its own; `null` takes the word back'),
    metadata: optional(
      nullable(METADATA_CHANGES),
      'keys to set besides its own, or instead of them; `null` for a key, or for all, takes the word back',
    ),
    reason: optional(WHY, 'why the words of this body are said, for people'),
    untilMs: optional(
      nullable(integer(0, 8.64e15)),
      'wall clock, ms since 1970: when the words of this body end by themselves (where it has none: all words), in the future and at most 30 days from now; `null`, or a word without an end: never',
    ),
  },
  (patch, flaws) => {
    if (Object.keys(patch).length > 0) return;
    flaws.note('nothing', 'at least one of `admin`, `weight`, `metadata`, `reason`, `untilMs`');
  },
);

/** What an operator may override. */
export type OverrideWord = 'admin' | 'weight' | 'metadata';

/** Why, since when and for how long one word of an operator counts. */
export interface OverrideTerms {
  /** For people; may be empty. */
  readonly reason: string;
  /** Wall clock, ms since 1970, when the word was set to this value: for people only. */
  readonly since: number;
  /** Wall clock, ms since 1970, when it ends by itself; null: it does not. Decided by monotonic time. */
  readonly untilMs: number | null;
  /** The operator, for people: `token 3f2a from 10.0.0.7`. Empty where the registry asks nobody who he is. */
  readonly by: string;
}

/** What an operator has said of an instance and not taken back. It counts before the instance's own words. */
export interface Override {
  /** Null: nothing was said, so it is ENABLED. */
  readonly admin: AdminState | null;
  readonly weight: number | null;
  /** Never empty. */
  readonly metadata: Metadata | null;
  /** The last one, for people; may be empty. */
  readonly reason: string;
  /** Wall clock of the operator's last word, ms since 1970: for people only. */
  readonly since: number;
  /** Wall clock, ms since 1970, when the first of the words ends by itself; null: none does. */
  readonly untilMs: number | null;
  /** Of each word that counts. Missing: the same for all of them, as above (from a registry that kept no more). */
  readonly words?: Partial<Readonly<Record<OverrideWord, OverrideTerms>>>;
}

/** Why, since when and for how long a word counts, as far as that is known. */
export function termsOf({ words, reason, since, untilMs }: Override, word: OverrideWord): OverrideTerms {
  return words?.[word] ?? { reason, since, untilMs, by: '' };
}

/** What may be overridden. */
export type OwnWords = Pick<Instance, 'weight' | 'metadata'>;

const overrideTermsMessage = message<OverrideTerms>(
  'OverrideTerms',
  'Why, since when and for how long a word counts.',
  {
    reason: required(text({ max: 200, allowed: 'text' }), 'why, for people; may be empty'),
    since: required(WALL_CLOCK, 'wall clock, ms since 1970, when it was set to this value: for people only'),
    untilMs: required(nullable(WALL_CLOCK), 'wall clock, ms since 1970, when it ends by itself; `null`: it does not'),
    by: required(text({ max: 400, allowed: 'text' }), 'the operator, for people; empty: nobody was asked who it is'),
  },
);

const overrideWordsMessage = message<NonNullable<Override['words']>>('OverrideWords', 'Each word that counts.', {
  admin: optional(overrideTermsMessage, 'missing: nothing was said'),
  weight: optional(overrideTermsMessage, 'missing: nothing was said'),
  metadata: optional(overrideTermsMessage, 'missing: nothing was said'),
});

export const overrideMessage: Message<Override> = message<Override>(
  'Override',
  'What an operator has said of an instance and not taken back. It counts before the instance’s own words.',
  {
    admin: required(nullable(oneOf(ADMIN_STATES)), '`null`: nothing was said'),
    weight: required(nullable(WEIGHT), '`null`: nothing was said'),
    metadata: required(nullable(METADATA), '`null`: nothing was said'),
    reason: required(text({ max: 200, allowed: 'text' }), 'the last one, for people; may be empty'),
    since: required(WALL_CLOCK, 'wall clock of the last word, ms since 1970: for people only'),
    untilMs: required(
      nullable(WALL_CLOCK),
      'wall clock, ms since 1970, when the first of the words ends by itself; `null`: none does',
    ),
    words: optional(
      overrideWordsMessage,
      'why, since when, until when and by whom each word counts; missing: as above, from an older registry',
    ),
  },
);

/** May this be an instance's metadata: at most 64 keys, 4 KiB in all? */
export function isMetadata(value: unknown): value is Metadata {
  return METADATA.read(value, new Flaws()) !== undefined;
}

// ---- what happened --------------------------------------------------------------------------------------------------

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

/** Who brought something about. */
export const ACTORS = ['instance', 'operator', 'registry'] as const;
export type Actor = (typeof ACTORS)[number];

/** One thing that happened: who, what and why. Kept in memory only. */
export interface RegistryEvent {
  /** Counts from 1 within one epoch, without a gap. */
  readonly seq: number;
  /** Wall clock, ms since 1970: for people only. */
  readonly at: number;
  readonly kind: EventKind;
  /** Null for what is about the registry as a whole. */
  readonly namespace: string | null;
  readonly service: string | null;
  /** Id of the instance; null for what is about a service or the registry. */
  readonly instance: string | null;
  /** The state after it; null where there is none (any more). */
  readonly state: State | null;
  /** Why; of an operator's word the code is OPERATOR and the text his reason. Null where `text` says all. */
  readonly reason: Reason | null;
  /** Of the record, or the tombstone, after it; null where there is none. */
  readonly revision: number | null;
  readonly by: Actor;
  /** What happened, in plain words, without a full stop. */
  readonly text: string;
  /** When what an operator set with this deed ends by itself: wall clock, ms since 1970. Missing: it has no end, or nothing was set. */
  readonly untilMs?: number;
}

export const registryEventMessage: Message<RegistryEvent> = message<RegistryEvent>(
  'RegistryEvent',
  'One thing that happened: who, what and why.',
  {
    seq: required(integer(1), 'counts from 1 within one epoch, without a gap'),
    at: required(WALL_CLOCK, 'wall clock, ms since 1970: for people only'),
    kind: required(openWord(EVENT_KINDS), 'what kind of thing'),
    namespace: required(nullable(NAME), '`null`: it is about the registry as a whole'),
    service: required(nullable(NAME), '`null`: it is about the registry as a whole'),
    instance: required(nullable(ID), 'its id; `null`: it is about a service or the registry'),
    state: required(nullable(oneOf(STATES)), 'the state after it; `null` where there is none'),
    reason: required(
      nullable(reasonMessage),
      'why; of an operator’s word the code is `OPERATOR` and the text is the operator’s reason',
    ),
    revision: required(nullable(REVISION), 'of the record, or the tombstone, after it'),
    by: required(openWord(ACTORS), 'who brought it about'),
    text: required(text({ max: 2_000, allowed: 'text, at most 2000 characters' }), 'what happened, in plain words'),
    untilMs: optional(WALL_CLOCK, 'when what an operator set ends by itself, wall clock; missing: it has no end'),
  },
);
