import type { VNode } from 'preact';
import { knownAsOf, missingText, unknownText } from '../model/live/known.js';
import type { Known } from '../model/live/known.js';
import { clockText } from '../model/text/age.js';
import { Problem } from './dialog.js';
import { Head } from './panel.js';

/** Replaces an unknown value: that it was requested, or `–` with its time. Never “none”. */
export function Unknown({ value }: { readonly value: Known<unknown> }): VNode {
  return <p class="panel-body faint">{missingText(value)}</p>;
}

/** The time of the value, beside a title; empty: it is current. */
export function asOfText(known: Known<unknown>): string {
  const asOf = knownAsOf(known);
  return asOf === null ? '' : `as of ${clockText(asOf)}`;
}

interface UnknownScreenProps {
  readonly title: string;
  /** The subject at the start of a sentence: `The calls between services`. */
  readonly what: string;
  readonly value: Known<unknown>;
}

/** Replaces a screen whose data is not known yet, or unavailable. */
export function UnknownScreen({ title, what, value }: UnknownScreenProps): VNode {
  if (value.kind !== 'unknown') return <Head title={title} verdict={`${what}: asking …`} sentence="" />;
  return (
    <>
      <Head title={title} verdict={`${what}: – ${unknownText(value.since)}.`} sentence="It is asked again by itself." />
      {value.error !== null && <Problem error={value.error} />}
    </>
  );
}
