import { isOutage } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import type { VNode } from 'preact';
import type { InstanceAnswer } from '../../model/live/answers.js';
import { standingOf } from '../../model/live/roll.js';
import type { ServiceNode } from '../../model/live/roll.js';
import { useAnswer, useSession, useStaleSince } from '../../model/live/session.js';
import { awayText, keptAwayText } from '../../model/text/callable-words.js';
import { tailOf } from '../../model/text/words.js';
import { instanceHash } from '../../model/view/route.js';
import { Panel } from '../../parts/panel.js';

/** Instances beyond so many are in the table below. */
const MOST_ROWS = 10;

/** Of a service the instances that an operator drained, or put into maintenance: who, when and why. Nothing where there are none. */
export function KeptAway({ node }: { readonly node: ServiceNode }): VNode | null {
  const isOld = useStaleSince() !== null;
  const away = [...node.instances.value.values()].filter(({ admin }) => admin !== 'ENABLED');
  if (away.length === 0) return null;
  const isOut = isOutage(standingOf(node.instances.value).count);
  return (
    <Panel title={isOut ? `Nobody ${isOld ? 'could' : 'may'} be called` : 'Kept away from callers'} count={away.length}>
      <ul class="panel-body">
        {away.slice(0, MOST_ROWS).map((instance) => (
          // its terms are asked for when it changes, not with each change of others
          <Row key={`${instance.id} ${instance.revision}`} instance={instance} />
        ))}
      </ul>
    </Panel>
  );
}

function Row({ instance }: { readonly instance: Instance }): VNode {
  const { clock } = useSession();
  const isOld = useStaleSince() !== null;
  const path = `api/v1/instances/${encodeURIComponent(instance.id)}`;
  const detail = useAnswer<InstanceAnswer>(path, { everyMs: 15_000 }).value.value;
  return (
    <li>
      <a class="mono" href={instanceHash(instance.id)}>
        …{tailOf(instance.id)}
      </a>{' '}
      <b>{instance.admin}</b>.{' '}
      {keptAwayText({ instance, detail, now: clock.now.value, isOld }) || awayText(instance, isOld)}
    </li>
  );
}
