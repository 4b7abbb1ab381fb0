import { isOutage } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import type { VNode } from 'preact';
import type { Overrides } from '../../model/live/answers.js';
import { standingOf } from '../../model/live/roll.js';
import type { ServiceNode } from '../../model/live/roll.js';
import { useSession, useStaleSince } from '../../model/live/session.js';
import { plural } from '../../model/text/age.js';
import { awayEnd, awayReason } from '../../model/text/callable-text.js';
import { tailOf } from '../../model/text/instance-text.js';
import { actionsOf, termsIn } from '../../model/view/attention.js';
import { hashOf, instanceHash } from '../../model/view/route.js';
import { Panel } from '../../parts/panel.js';

interface KeptAwayProps {
  readonly node: ServiceNode;
  readonly overrides: Overrides;
}

/**
 * The instances of a service that an operator drained, or put into maintenance: operator, time, reason and end. Nothing
 * if there are none.
 */
export function KeptAway({ node, overrides }: KeptAwayProps): VNode | null {
  const { clock } = useSession();
  const isOld = useStaleSince() !== null;
  const actions = actionsOf(node, overrides);
  if (actions.length === 0) return null;
  const isOut = isOutage(standingOf(node.instances.value).count);
  const count = actions.reduce((sum, { instances }) => sum + instances.length, 0);
  const now = clock.now.value;
  return (
    <Panel title={isOut ? `No instance ${isOld ? 'could' : 'may'} be called` : 'Kept away from callers'} count={count}>
      <ul class="panel-body">
        {actions.map((action) => {
          const { admin } = action.first;
          if (admin === 'ENABLED') return null; // no action keeps it away
          const input = { admin, terms: termsIn(action, overrides), now, isOld };
          const until = awayEnd(input);
          return (
            <li key={action.key}>
              <Names instances={action.instances} node={node} /> <b>{admin}</b>
              {until === '' ? '' : ` ${until}`}. {awayReason(input)}
            </li>
          );
        })}
      </ul>
    </Panel>
  );
}

/** The maximum number of names; the others are counted. */
const MAX_NAMES = 5;

function Names({ instances, node }: { readonly instances: readonly Instance[]; readonly node: ServiceNode }): VNode {
  const [first] = instances;
  const ids = instances.map(({ id }) => id).toSorted();
  const hidden = ids.length - MAX_NAMES;
  return (
    <>
      {ids.slice(0, MAX_NAMES).map((id) => (
        <span key={id}>
          <a class="mono" href={instanceHash(id)}>
            …{tailOf(id)}
          </a>{' '}
        </span>
      ))}
      {hidden > 0 && (
        <a
          class="link"
          href={hashOf('instances', { ns: node.namespace, service: node.name, admin: first?.admin ?? '' })}
        >
          {plural(hidden, 'more instance')}
        </a>
      )}
    </>
  );
}
