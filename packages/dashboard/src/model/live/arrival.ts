/** The progress of the first view as text: until it is complete nothing is counted or judged. */
import { clockText, countText, plural } from '../text/age.js';
import type { Arrival } from './roll.js';

/** `68 of 200 services`. */
export const shareOfArrival = ({ received, total }: Arrival): string =>
  total === null ? plural(received, 'service') : `${countText(received)} of ${plural(total, 'service')}`;

/** The text in place of a verdict. `staleSince`: the time since which the view is old. */
export function arrivalText(arrival: Arrival, staleSince: number | null): string {
  const isAnyKnown = arrival.received > 0 || arrival.total !== null;
  if (staleSince !== null) {
    const had = isAnyKnown ? `${shareOfArrival(arrival)} had arrived` : 'nothing had arrived';
    return `The view was not whole at ${clockText(staleSince)}: ${had}.`;
  }
  return isAnyKnown ? `Calling the roll: ${shareOfArrival(arrival)} …` : 'Calling the roll …';
}
