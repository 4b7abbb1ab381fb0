import { createHash } from 'node:crypto';
import { changeMessage, ID_PATTERN, isRecord, parseCursor } from '@rollcall/core';
import type { KeptService, Result } from '@rollcall/core';

/** One service as the cache stores it. */
export interface KeptCopy extends KeptService {
  readonly service: string;
  /** Wall clock, ms since 1970, of the last answer of a registry about the service. */
  readonly heardAt: number;
}

/** The owner of a cache file: one namespace of certain registries. */
export interface CacheOwner {
  readonly namespace: string;
  /** Names of the registries; a file from other registries is ignored, since the same names may stand for other instances there. */
  readonly registries: readonly string[];
}

/** The maximum size of a file that is written or read, in bytes: about 40,000 instances. */
export const MAX_CACHE_BYTES = 16 * 1024 * 1024;
/**
 * Older copies are ignored, since their addresses may belong to other processes by then. The age is measured by the wall clock, since no
 * other clock survives a restart: with a wrong clock only the cache is lost.
 */
export const MAX_CACHE_AGE_MS = 24 * 3_600_000;
const FORMAT = 'rollcall-catalog';
const VERSION = 1;
/** Instances per line, so that the event loop is blocked for one line at most. */
const PER_LINE = 128;

/**
 * The content of the file: a header line, lines with at most 128 instances each, and the SHA-256 of all previous lines. A service that
 * would exceed the size limit is left out. Between the texts the generator yields numbers: the characters processed since the previous
 * number, after which the event loop may take a turn.
 */
export function* encodeCopies(owner: CacheOwner, copies: readonly KeptCopy[]): Generator<string | number> {
  const sum = createHash('sha256');
  const head = `${JSON.stringify({ format: FORMAT, version: VERSION, ...owner })}\n`;
  sum.update(head);
  yield head;
  let left = MAX_CACHE_BYTES - Buffer.byteLength(head) - 80;
  for (const copy of copies) {
    const lines: string[] = [];
    for (const line of linesOf(copy)) {
      lines.push(line);
      left -= Buffer.byteLength(line);
      if (left < 0) break;
      yield line.length;
    }
    if (left < 0) {
      for (const line of lines) left += Buffer.byteLength(line);
      continue;
    }
    for (const line of lines) {
      sum.update(line);
      yield line;
    }
  }
  yield `${JSON.stringify({ sha256: sum.digest('hex') })}\n`;
}

function* linesOf({ instances, unconfirmed, ...copy }: KeptCopy): Generator<string> {
  const unconfirmedIds = new Set(unconfirmed);
  for (let at = 0; at < instances.length; at += PER_LINE) {
    const some = instances.slice(at, at + PER_LINE);
    const among = some.flatMap(({ id }) => (unconfirmedIds.has(id) ? [id] : []));
    yield `${JSON.stringify({ ...copy, unconfirmed: among, instances: some })}\n`;
  }
}

/**
 * Decodes the content of a file, or returns a text with the reason why it is unusable: damaged, of another owner, or of another version.
 * Copies that are too old are left out. The generator yields the number of characters read since the previous yield, after which the event
 * loop may take a turn.
 */
export function* decodeCopies(
  text: string,
  owner: CacheOwner,
  wall: number,
): Generator<number, Result<readonly KeptCopy[], string>> {
  const end = text.lastIndexOf('\n', text.length - 2) + 1;
  const lines = text.slice(0, end).split('\n');
  const flaw = flawOf(parsed(lines[0] ?? ''), owner);
  if (flaw !== null) return { ok: false, problem: flaw };
  if (!isWhole(text.slice(0, end), parsed(text.slice(end)))) return { ok: false, problem: 'it is damaged' };
  const copies = new Map<string, KeptCopy>();
  for (const line of lines.slice(1, -1)) {
    yield line.length;
    const copy = copyOf(parsed(line), owner);
    if (copy === null) return { ok: false, problem: 'it has unexpected content' };
    if (wall - copy.heardAt > MAX_CACHE_AGE_MS) continue;
    const { instances = [], unconfirmed = [] } = copies.get(copy.service) ?? {};
    copies.set(copy.service, {
      ...copy,
      instances: [...instances, ...copy.instances],
      unconfirmed: [...unconfirmed, ...copy.unconfirmed],
    });
  }
  return { ok: true, value: [...copies.values()] };
}

function flawOf(head: unknown, owner: CacheOwner): string | null {
  if (!isRecord(head) || head['format'] !== FORMAT) return 'it is no cache file of Rollcall';
  if (head['version'] !== VERSION) return 'it was written by another version of Rollcall';
  if (head['namespace'] !== owner.namespace) return 'it belongs to another namespace';
  const registries: unknown = head['registries'];
  const isOfOurs = Array.isArray(registries) && registries.some((name) => owner.registries.includes(String(name)));
  return isOfOurs ? null : 'it belongs to another registry';
}

function isWhole(text: string, tail: unknown): boolean {
  return isRecord(tail) && tail['sha256'] === createHash('sha256').update(text).digest('hex');
}

function copyOf(line: unknown, { namespace }: CacheOwner): KeptCopy | null {
  if (!isRecord(line)) return null;
  const { service, heardAt, epoch, revision, instances, unconfirmed } = line;
  const frame = changeMessage.parse({ namespace, service, upsert: instances, remove: [] });
  const cursor = parseCursor(`${String(epoch)}.${String(revision)}`);
  if (!frame.ok || cursor === null || typeof heardAt !== 'number' || !isIdArray(unconfirmed)) return null;
  return { service: frame.value.service, heardAt, ...cursor, instances: frame.value.upsert, unconfirmed };
}

function isIdArray(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((id) => typeof id === 'string' && ID_PATTERN.test(id));
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
