import { addressOf, isRecord, printableText } from '@rollcall/core';
import type { Failure, Target } from './transport.js';

/** UTF-16 code units: as long as ids may be. */
const MAX_ID_LENGTH = 128;

/**
 * True if the peer must identify itself when a connection opens. Only an instance that registered itself knows its id; an address that was
 * written down by hand has none to compare with.
 */
export function hasIdentity(target: Target): boolean {
  return target.instance.source === 'native';
}

/**
 * Compares an answer to Heartbeat-1 with the expected identity. Null: they match. Anything else is another process,
 * also where no answer came: a registered instance answers.
 */
export function identityFailure(target: Target, answer: unknown): Failure | null {
  const { instance, endpoint } = target;
  if (isRecord(answer) && answer['instance'] === instance.id) return null;
  const found =
    isRecord(answer) && typeof answer['instance'] === 'string'
      ? `the instance ${printableText(answer['instance'], MAX_ID_LENGTH)}`
      : 'a process that does not give its id';
  const text = `At ${addressOf(endpoint)} ${found} answers, not ${instance.id}`;
  return { kind: 'misdirected', cause: new Error(text) };
}
