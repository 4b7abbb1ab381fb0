import { addressOf, printableText } from '@rollcall/core';
import type { Endpoint } from '@rollcall/core';
import type { Entry } from '../instances/instance-table.js';
import type { ProbeOutcome } from './protocols/caller.js';

/** Maximum length of the description of a failed call, characters. */
const MAX_CHARS = 1_000;

/** The reason for which an outcome is not an answer of this instance, with the address; null if it is one. */
export function faultOf(
  outcome: ProbeOutcome,
  nonce: string,
  entry: Entry,
  target: Endpoint | undefined,
): string | null {
  if (outcome.kind !== 'answered') return outcome.text;
  const where = target === undefined ? 'its address' : addressOf(target);
  // only a process that knows the nonce has answered Heartbeat-1: text from any other is not repeated
  if (outcome.nonce !== nonce) return `an answer to another call came from ${where}`;
  return outcome.instance === entry.id ? null : `another process (${printable(outcome.instance)}) answers at ${where}`;
}

/**
 * Joins failures into the text of a reason, which is public: printable, on one line and not too long. A foreign
 * certificate that an error quotes may be neither.
 */
export function joinFaults(faults: readonly string[]): string {
  return printableText(faults.join('; '), MAX_CHARS);
}

const printable = (id: string): string => (/^[A-Za-z0-9._~-]{1,128}$/.test(id) ? id : 'with no valid id');
