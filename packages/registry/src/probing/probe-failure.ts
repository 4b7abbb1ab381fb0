import { addressOf, printableText } from '@rollcall/core';
import type { Endpoint } from '@rollcall/core';
import type { Entry } from '../instances/instance-table.js';
import type { ProbeOutcome } from './protocols/caller.js';

/** Of all that went wrong in a call, so many characters are told. */
const MOST_TOLD = 1_000;

/** Why an outcome is no answer of this instance, with its address; null when it is one. */
export function faultOf(
  outcome: ProbeOutcome,
  nonce: string,
  entry: Entry,
  target: Endpoint | undefined,
): string | null {
  if (outcome.kind !== 'answered') return outcome.text;
  const where = target === undefined ? 'its address' : addressOf(target);
  // only who knows the nonce has answered Heartbeat-1: of anybody else not a word is repeated
  if (outcome.nonce !== nonce) return `an answer to another call came from ${where}`;
  return outcome.instance === entry.id ? null : `another process (${printable(outcome.instance)}) answers at ${where}`;
}

/** For a reason, which everybody reads: on one line, and not too long. A stranger's certificate, quoted in an error, may be neither. */
export function lineOf(faults: readonly string[]): string {
  return printableText(faults.join('; '), MOST_TOLD);
}

const printable = (id: string): string => (/^[A-Za-z0-9._~-]{1,128}$/.test(id) ? id : 'with no valid id');
