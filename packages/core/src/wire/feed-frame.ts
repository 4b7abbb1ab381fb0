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

/** The fields of each frame about one service. */
export interface ServiceScope {
  readonly namespace: string;
  readonly service: string;
}

/**
 * The whole view of one service, in parts of at most 64 KiB; the last one has `complete: true` and `removed`.
 * Tombstones that do not fit follow as `ChangeFrame`s before the next id line.
 */
export interface ResetFrame extends ServiceScope {
  readonly epoch: string;
  readonly revision: number;
  /** Starts at 0. */
  readonly part: number;
  readonly complete: boolean;
  readonly instances: readonly Instance[];
  readonly removed?: readonly Tombstone[];
}

export interface ChangeFrame extends ServiceScope {
  readonly upsert: readonly Instance[];
  readonly remove: readonly Tombstone[];
}

/** The whole view of one service, as `GET /api/v1/services/{name}` returns it, for clients that cannot hold a stream. */
export interface ServiceViewAnswer extends ServiceScope {
  readonly epoch: string;
  /** The view includes every change up to this one. */
  readonly revision: number;
  readonly settled: boolean;
  readonly instances: readonly Instance[];
  readonly removed: readonly Tombstone[];
}

/** The service does not exist. Unlike an empty list, this removes no instance. */
export interface UnknownFrame extends ServiceScope {
  /** A similar name of a known service, if there is one. */
  readonly nearest?: string;
}

export interface StatusFrame {
  /** True once the registry has been up long enough that an instance it does not know does not exist. */
  readonly settled: boolean;
  readonly degraded?: string;
}

/** Sent on the line of an instance: the registry removed it. */
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

/** A frame with more items is rejected. */
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
  'The whole view of one service, in parts of at most 64 KiB. It takes effect when its last part has arrived.',
  {
    ...ofService,
    epoch: required(EPOCH, 'the epoch of the registry’s history that the revisions belong to'),
    revision: required(REVISION, 'the view includes every change up to this one; the same in all parts'),
    part: required(integer(0, 1_000_000), 'counts from 0, without gaps'),
    complete: required(flag(), 'true for the last part'),
    instances: required(INSTANCES, 'instances of this part'),
    removed: optional(
      TOMBSTONES,
      'in the last part: the kept tombstones (further ones follow at once as changes); they are valid across epochs',
    ),
  },
  (frame, flaws) => checkOwner(frame, frame.instances, flaws),
);

export const serviceViewMessage: Message<ServiceViewAnswer> = message<ServiceViewAnswer>(
  'ServiceViewAnswer',
  'The whole view of one service, with the content of a reset.',
  {
    ...ofService,
    epoch: required(EPOCH, 'the epoch of the registry’s history that the revisions belong to'),
    revision: required(REVISION, 'the view includes every change up to this one'),
    settled: required(
      flag(),
      'true once the registry has been up long enough that an instance it does not know does not exist',
    ),
    instances: required(INSTANCES, 'all instances'),
    removed: required(TOMBSTONES, 'all kept tombstones; they are valid across epochs'),
  },
  (view, flaws) => checkOwner(view, view.instances, flaws),
);

/** The default if the field is missing in a frame. */
export function resetOf({ settled: _settled, ...view }: ServiceViewAnswer): ResetFrame {
  return { ...view, part: 0, complete: true };
}

export const changeMessage: Message<ChangeFrame> = message<ChangeFrame>(
  'ChangeFrame',
  'The changes of one service.',
  {
    ...ofService,
    upsert: required(INSTANCES, 'new and changed instances, each complete'),
    remove: required(TOMBSTONES, 'removed instances'),
  },
  (frame, flaws) => checkOwner(frame, frame.upsert, flaws),
);

export const unknownMessage: Message<UnknownFrame> = message<UnknownFrame>(
  'UnknownFrame',
  'The service does not exist. Unlike an empty list, this removes no instance.',
  {
    namespace: required(NAMESPACES, 'the requested namespace'),
    service: required(NAME, 'the service'),
    nearest: optional(NAME, 'a similar name of a known service, if there is one'),
  },
);

export const statusMessage: Message<StatusFrame> = message<StatusFrame>(
  'StatusFrame',
  'The status of the registry: whether its view is complete, and what does not work.',
  {
    settled: required(
      flag(),
      'true once the registry has been up long enough that an instance it does not know does not exist',
    ),
    degraded: optional(text({ max: 1_000, allowed: 'text' }), 'what does not work, one plain sentence'),
  },
);

export const goneMessage: Message<GoneFrame> = message<GoneFrame>(
  'GoneFrame',
  'Sent on the line of an instance: the registry removed it.',
  {
    id: required(ID, 'the instance'),
    reason: required(reasonMessage, 'why'),
  },
);

/**
 * Parses one event of the feed. Null for an event that this version does not know; ignore it. The caller must bound the
 * length of `json`.
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

function checkOwner(frame: ServiceScope, instances: readonly Instance[], flaws: Flaws): void {
  for (const each of instances) {
    if (each.service === frame.service && each.namespace === frame.namespace) continue;
    flaws.add(`${each.namespace}/${each.service}`, `instances of ${frame.namespace}/${frame.service} only`);
    return;
  }
}
