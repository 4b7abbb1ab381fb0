import type { VNode } from 'preact';
import { arrivalText } from '../../model/live/arrival.js';
import { unknownText } from '../../model/live/known.js';
import { useSession } from '../../model/live/session.js';
import { clockText } from '../../model/text/age.js';
import { Elsewhere } from '../../parts/namespace.js';
import { Head } from '../../parts/panel.js';

interface NoServiceProps {
  readonly namespace: string;
  readonly name: string;
  readonly crumbs: VNode;
  readonly staleSince: number | null;
}

/** The service is not in the view, which means something only if the view is complete. */
export function NoService({ crumbs, ...place }: NoServiceProps): VNode {
  const [verdict, sentence] = useTexts(place);
  return (
    <>
      <Head crumbs={crumbs} verdict={verdict} sentence={sentence} />
      <Elsewhere name={place.name} />
    </>
  );
}

/** Verdict and sentence. */
function useTexts({ namespace, name, staleSince }: Omit<NoServiceProps, 'crumbs'>): readonly [string, string] {
  const { arrival, hasLoaded: wasWhole } = useSession().roll;
  if (!wasWhole.value) {
    const sentence = arrivalText(arrival.value ?? { received: 0, total: null }, staleSince);
    return [staleSince === null ? `${name}: not here yet.` : `${name}: – ${unknownText(staleSince)}.`, sentence];
  }
  if (staleSince !== null)
    return [`${name} was not registered at ${clockText(staleSince)}.`, 'What has happened since is unknown here.'];
  return [`${name} is not registered.`, `No instance of it is in the namespace ${namespace}.`];
}
