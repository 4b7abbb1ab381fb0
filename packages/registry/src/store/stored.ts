import { isMetadata, isRecord, overrideMessage } from '@rollcall/core';
import type { Write } from './store.js';

type Fields = Readonly<Record<string, unknown>>;

/**
 * True if this is a valid list of writes. A checksum has covered every byte, so only the fields that the registry
 * relies on are checked, in case the file was written by hand. Unknown fields belong to a later version and are kept.
 */
export function isWrites(payload: unknown): payload is readonly Write[] {
  return Array.isArray(payload) && payload.every(isWrite);
}

function isWrite(write: unknown): write is Write {
  if (!isRecord(write)) return false;
  if ('put' in write) return isInstance(write['put']);
  if ('bury' in write) return isTombstone(write['bury']);
  if ('forget' in write) return typeof write['forget'] === 'string';
  return 'preserve' in write && isPreservation(write['preserve']);
}

function isInstance(stored: unknown): boolean {
  if (!isRecord(stored)) return false;
  const { record, own, override, targets, proved, token } = stored;
  return (
    isRecord(record) &&
    isNamed(record) &&
    isHex(stored['callKey']) &&
    isHex(stored['secretHash']) &&
    areEndpoints(record['endpoints']) &&
    areEndpoints(targets) &&
    typeof record['state'] === 'string' &&
    typeof proved === 'boolean' &&
    (own === undefined || isOwn(own)) &&
    (token === undefined || typeof token === 'string') &&
    isOverride(override)
  );
}

/** Missing without an override. */
const isOverride = (override: unknown): boolean => override === undefined || overrideMessage.parse(override).ok;

const isOwn = (own: unknown): boolean =>
  isRecord(own) && typeof own['weight'] === 'number' && isMetadata(own['metadata']);

function isTombstone(stored: unknown): boolean {
  if (!isRecord(stored) || !isNamed(stored) || !isOverride(stored['override'])) return false;
  return isHex(stored['secretHash']) && typeof stored['ended'] === 'boolean';
}

/** The common fields of records and tombstones. */
function isNamed({ id, service, namespace, revision, reason }: Fields): boolean {
  const areStrings = [id, service, namespace].every((word) => typeof word === 'string');
  return areStrings && Number.isSafeInteger(revision) && isRecord(reason) && typeof reason['code'] === 'string';
}

const areEndpoints = (endpoints: unknown): boolean => Array.isArray(endpoints) && endpoints.every(isEndpoint);

function isEndpoint(endpoint: unknown): boolean {
  if (!isRecord(endpoint)) return false;
  const { protocol, host, port } = endpoint;
  return typeof protocol === 'string' && typeof host === 'string' && Number.isSafeInteger(port);
}

function isPreservation(saved: unknown): boolean {
  if (!isRecord(saved) || !isRecord(saved['services'])) return false;
  return [saved['registry'], ...Object.values(saved['services'])].every(isScope);
}

function isScope(scope: unknown): boolean {
  if (!isRecord(scope) || typeof scope['peak'] !== 'number') return false;
  const { usedAgoMs } = scope;
  return Array.isArray(usedAgoMs) && usedAgoMs.every((ago) => typeof ago === 'number');
}

const isHex = (text: unknown): boolean => typeof text === 'string' && /^([0-9a-f]{2})+$/.test(text);
