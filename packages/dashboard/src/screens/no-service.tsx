import type { VNode } from 'preact';
import { clockText } from '../model/age.js';
import { arrivalText } from '../model/arrival.js';
import { unknownText } from '../model/known.js';
import { useSession } from '../model/session.js';
import { Head } from '../parts/panel.js';

interface NoServiceProps {
  readonly namespace: string;
  readonly name: string;
  readonly crumbs: VNode;
  readonly staleSince: number | null;
}

/** It is not in the view, which says something only where the view is whole. */
export function NoService({ crumbs, namespace, name, staleSince }: NoServiceProps): VNode {
  const { arrival, wasWhole } = useSession().roll;
  if (!wasWhole.value) {
    const sentence = arrivalText(arrival.value ?? { have: 0, total: null }, staleSince);
    const verdict = staleSince === null ? `${name}: not here yet.` : `${name}: – ${unknownText(staleSince)}.`;
    return <Head crumbs={crumbs} verdict={verdict} sentence={sentence} />;
  }
  if (staleSince !== null) {
    const verdict = `${name} was not registered at ${clockText(staleSince)}.`;
    return <Head crumbs={crumbs} verdict={verdict} sentence="What has happened since is unknown here." />;
  }
  const sentence = `No instance of it is in the namespace ${namespace}.`;
  return <Head crumbs={crumbs} verdict={`${name} is not registered.`} sentence={sentence} />;
}
