import { addressOf, isRecord, printableText } from '@rollcall/core';
import type { Failure, Target } from './transport.js';

/** The maximum length of an id, in UTF-16 code units. */
const MAX_ID_LENGTH = 128;

/**
 * True if the peer must identify itself when a connection opens. Only an instance that registered itself knows its id; a configured address
 * has no id to compare.
 */
export function hasIdentity(target: Target): boolean {
  return target.instance.source === 'native';
}

/**
 * Compares an answer to Heartbeat-1 with the expected identity. Null: they match. Otherwise another process answers, or one gave no valid
 * answer, although a registered instance always does.
 */
export function identityFailure(target: Target, answer: unknown): Failure | null {
  const { instance, endpoint } = target;
  if (isRecord(answer) && answer['instance'] === instance.id) return null;
  const found =
    isRecord(answer) && typeof answer['instance'] === 'string'
      ? `the instance ${printableText(answer['instance'], MAX_ID_LENGTH)}`
      : 'a process that does not report its id';
  const text = `At ${addressOf(endpoint)} ${found} answers, not ${instance.id}`;
  return { kind: 'misdirected', cause: new Error(text) };
}
