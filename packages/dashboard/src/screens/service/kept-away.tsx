import { isOutage } from '@rollcall/core';
import type { Instance } from '@rollcall/core';
import type { VNode } from 'preact';
import type { Overrides } from '../../model/live/answers.js';
import { standingOf } from '../../model/live/roll.js';
import type { ServiceNode } from '../../model/live/roll.js';
import { useSession, useStaleSince } from '../../model/live/session.js';
import { plural } from '../../model/text/age.js';
import { awayUntil, awayWhy } from '../../model/text/callable-words.js';
import { tailOf } from '../../model/text/words.js';
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
          const words = { admin, terms: termsIn(action, overrides), now, isOld };
          const until = awayUntil(words);
          return (
            <li key={action.key}>
              <Names of={action.instances} node={node} /> <b>{admin}</b>
              {until === '' ? '' : ` ${until}`}. {awayWhy(words)}
            </li>
          );
        })}
      </ul>
    </Panel>
  );
}

/** More than these are counted. */
const MOST_NAMES = 5;

function Names({ of, node }: { readonly of: readonly Instance[]; readonly node: ServiceNode }): VNode {
  const [first] = of;
  const ids = of.map(({ id }) => id).toSorted();
  const more = ids.length - MOST_NAMES;
  return (
    <>
      {ids.slice(0, MOST_NAMES).map((id) => (
        <span key={id}>
          <a class="mono" href={instanceHash(id)}>
            …{tailOf(id)}
          </a>{' '}
        </span>
      ))}
      {more > 0 && (
        <a
          class="link"
          href={hashOf('instances', { ns: node.namespace, service: node.name, admin: first?.admin ?? '' })}
        >
          {plural(more, 'more instance')}
        </a>
      )}
    </>
  );
}
