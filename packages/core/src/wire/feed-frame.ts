import type { Reason } from '../lifecycle/reason.js';
import { flag, integer, list, text } from '../options/kinds.js';
import type { Flaw, Flaws, Message } from '../options/schema.js';
import { message, optional, required } from '../options/schema.js';
import { messageOf } from '../runtime/errors.js';
import type { Result } from '../runtime/errors.js';
import type { Instance, Tombstone } from './instance.js';
import {
  EPOCH,
  ID,
  instanceMessage,
  NAME,
  NAME_PATTERN,
  reasonMessage,
  REVISION,
  tombstoneMessage,
} from './protocol.js';

/** What each frame about one service says. */
export interface OfService {
  readonly namespace: string;
  readonly service: string;
}

/**
 * The whole view of one service, in parts of at most 64 KiB; the last has `complete: true` and `removed`. Tombstones for which it has
 * no room follow as `ChangeFrame`s before the next id line.
 */
export interface ResetFrame extends OfService {
  readonly epoch: string;
  readonly revision: number;
  /** Counts from 0. */
  readonly part: number;
  readonly complete: boolean;
  readonly instances: readonly Instance[];
  readonly removed?: readonly Tombstone[];
}

export interface ChangeFrame extends OfService {
  readonly upsert: readonly Instance[];
  readonly remove: readonly Tombstone[];
}

/** All of one service, as `GET /api/v1/services/{name}` answers: for who cannot hold a stream. */
export interface ServiceViewAnswer extends OfService {
  readonly epoch: string;
  /** The view holds every change up to this one. */
  readonly revision: number;
  readonly settled: boolean;
  readonly instances: readonly Instance[];
  readonly removed: readonly Tombstone[];
}

/** No such service: an answer, not an empty list; it removes nothing. */
export interface UnknownFrame extends OfService {
  /** The service that was probably meant, where a name is near. */
  readonly nearest?: string;
}

export interface StatusFrame {
  /** The registry has been up long enough that what it does not know does not exist. */
  readonly settled: boolean;
  readonly degraded?: string;
}

/** To an instance's own line: you were removed. */
export interface GoneFrame {
  readonly id: string;
  readonly reason: Reason;
}

/** One frame of the change feed, by its event name. */
export type Frame =
  | { readonly event: 'reset'; readonly data: ResetFrame }
  | { readonly event: 'change'; readonly data: ChangeFrame }
  | { readonly event: 'unknown'; readonly data: UnknownFrame }
  | { readonly event: 'status'; readonly data: StatusFrame }
  | { readonly event: 'gone'; readonly data: GoneFrame };

/** More items in one frame are not believed. */
const MAX_ITEMS = 65_536;
const ofService = {
  namespace: required(NAME, 'its namespace'),
  service: required(NAME, 'the service'),
};
const NAMESPACES = text({
  max: 63,
  accepts: (name) => name === '*' || NAME_PATTERN.test(name),
  allowed: 'DNS label, or `*`',
});
const INSTANCES = list(instanceMessage, 0, MAX_ITEMS);
const TOMBSTONES = list(tombstoneMessage, 0, MAX_ITEMS);

export const resetMessage: Message<ResetFrame> = message<ResetFrame>(
  'ResetFrame',
  'The whole view of one service, in parts of at most 64 KiB. It counts when its last part has come.',
  {
    ...ofService,
    epoch: required(EPOCH, 'the life of the registry’s history that the revisions belong to'),
    revision: required(REVISION, 'the view holds every change up to this one; the same in all parts'),
    part: required(integer(0, 1_000_000), 'counts from 0, without a gap'),
    complete: required(flag(), 'is this the last part?'),
    instances: required(INSTANCES, 'instances of this part'),
    removed: optional(
      TOMBSTONES,
      'in the last part: the tombstones that are kept (more than fit follow at once as changes); they hold across epochs',
    ),
  },
  (frame, flaws) => checkOwner(frame, frame.instances, flaws),
);

export const serviceViewMessage: Message<ServiceViewAnswer> = message<ServiceViewAnswer>(
  'ServiceViewAnswer',
  'All of one service. It says what a reset says.',
  {
    ...ofService,
    epoch: required(EPOCH, 'the life of the registry’s history that the revisions belong to'),
    revision: required(REVISION, 'the view holds every change up to this one'),
    settled: required(flag(), 'up long enough that what the registry does not know does not exist'),
    instances: required(INSTANCES, 'all instances'),
    removed: required(TOMBSTONES, 'all tombstones that are kept; they hold across epochs'),
  },
  (view, flaws) => checkOwner(view, view.instances, flaws),
);

/** The same in a frame: absence means the same. */
export function resetOf({ settled: _settled, ...view }: ServiceViewAnswer): ResetFrame {
  return { ...view, part: 0, complete: true };
}

export const changeMessage: Message<ChangeFrame> = message<ChangeFrame>(
  'ChangeFrame',
  'What changed in one service.',
  {
    ...ofService,
    upsert: required(INSTANCES, 'new and changed instances, each whole'),
    remove: required(TOMBSTONES, 'instances that are gone'),
  },
  (frame, flaws) => checkOwner(frame, frame.upsert, flaws),
);

export const unknownMessage: Message<UnknownFrame> = message<UnknownFrame>(
  'UnknownFrame',
  'No such service: an answer, not an empty list. It removes nothing.',
  {
    namespace: required(NAMESPACES, 'the namespace that was asked for'),
    service: required(NAME, 'the service'),
    nearest: optional(NAME, 'the service that was probably meant, where a name is near'),
  },
);

export const statusMessage: Message<StatusFrame> = message<StatusFrame>(
  'StatusFrame',
  'How far the registry can be trusted.',
  {
    settled: required(flag(), 'up long enough that what the registry does not know does not exist'),
    degraded: optional(text({ max: 1_000, allowed: 'text' }), 'what does not work, one plain sentence'),
  },
);

export const goneMessage: Message<GoneFrame> = message<GoneFrame>(
  'GoneFrame',
  'To an instance’s own line: you were removed.',
  {
    id: required(ID, 'the instance'),
    reason: required(reasonMessage, 'why'),
  },
);

/**
 * Reads one event of the feed. Null for an event that this version does not know, which a reader ignores. The length of `json` is
 * for the reader of the stream to bound.
 */
export function parseFrame(event: string, json: string): Result<Frame, readonly Flaw[]> | null {
  const read = readerOf(event);
  if (read === null) return null;
  try {
    return read(JSON.parse(json));
  } catch (error) {
    return { ok: false, problem: [{ path: '', received: messageOf(error).slice(0, 80), allowed: 'JSON' }] };
  }
}

function readerOf(event: string): ((data: unknown) => Result<Frame, readonly Flaw[]>) | null {
  if (event === 'reset') return (data) => framed(resetMessage.parse(data), (value) => ({ event, data: value }));
  if (event === 'change') return (data) => framed(changeMessage.parse(data), (value) => ({ event, data: value }));
  if (event === 'unknown') return (data) => framed(unknownMessage.parse(data), (value) => ({ event, data: value }));
  if (event === 'status') return (data) => framed(statusMessage.parse(data), (value) => ({ event, data: value }));
  if (event === 'gone') return (data) => framed(goneMessage.parse(data), (value) => ({ event, data: value }));
  return null;
}

function framed<Data>(
  read: Result<Data, readonly Flaw[]>,
  wrap: (data: Data) => Frame,
): Result<Frame, readonly Flaw[]> {
  return read.ok ? { ok: true, value: wrap(read.value) } : read;
}

function checkOwner(frame: OfService, instances: readonly Instance[], flaws: Flaws): void {
  for (const each of instances) {
    if (each.service === frame.service && each.namespace === frame.namespace) continue;
    flaws.add(`${each.namespace}/${each.service}`, `instances of ${frame.namespace}/${frame.service} only`);
    return;
  }
}
