import type { VNode } from 'preact';
import { arrivalText } from '../model/live/arrival.js';
import { useSession, useStaleSince } from '../model/live/session.js';
import { Head } from '../parts/panel.js';

/** The first view is loading, with its progress. It is not judged yet, as the worst part may be missing. */
export function Loading(): VNode {
  const staleSince = useStaleSince();
  const { received, total } = useSession().roll.arrival.value ?? { received: 0, total: null };
  return (
    <>
      <Head
        verdict={arrivalText({ received, total }, staleSince)}
        sentence={
          staleSince === null ? 'Their state is shown when all of them have arrived.' : 'Their state was unknown.'
        }
      />
      {staleSince === null && total !== null && total > 0 && (
        <progress class="arrival" max={total} value={received} aria-label="Services that have arrived" />
      )}
    </>
  );
}
