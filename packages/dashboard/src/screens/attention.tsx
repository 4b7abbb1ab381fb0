import { isOutage } from '@rollcall/core';
import type { VNode } from 'preact';
import type { Overrides, TopologySummary } from '../model/live/answers.js';
import { useOverrides } from '../model/live/overrides.js';
import { needsAttention, standingOf } from '../model/live/roll.js';
import type { ServiceNode } from '../model/live/roll.js';
import { useSession, useStaleSince } from '../model/live/session.js';
import { useStableOrder } from '../model/live/stable-order.js';
import { ageText, clockText, countText, plural } from '../model/text/age.js';
import { awayEnd, awayReason, standingText } from '../model/text/callable-text.js';
import { evidenceOf, nextText, reasonText } from '../model/text/instance-text.js';
import type { NextText } from '../model/text/instance-text.js';
import { attentionOf, countInstances, filtersOf, sinceOf, soonestOf, termsIn } from '../model/view/attention.js';
import type { Cause } from '../model/view/attention.js';
import { hashOf } from '../model/view/route.js';
import type { Filters } from '../model/view/route.js';
import { NotCallable, StateWord } from '../parts/glyph.js';
import { InstanceLink, ServiceLink } from '../parts/name.js';

interface AttentionProps {
  readonly nodes: readonly ServiceNode[];
  readonly topology: TopologySummary | null;
  readonly namespace: string;
}

/** The maximum number of rows; the others have a link to a list. */
const MAX_ROWS = 12;

/** Everything that needs attention, one row per service and cause; below it the instances that start or leave. */
export function Attention({ nodes, topology, namespace }: AttentionProps): VNode {
  const { clock } = useSession();
  const staleSince = useStaleSince();
  const hasAny = nodes.some(({ instances }) => standingOf(instances.value).count.admin.ENABLED < instances.value.size);
  const overrides = useOverrides({ namespace, hasAny });
  const { trouble, onTheWay } = attentionOf(nodes, overrides);
  const stable = useStableOrder(trouble, ({ key }) => key);
  const hidden = stable.rows.slice(MAX_ROWS);
  // these may be in any state
  const away = hidden.filter(({ isKeptAway }) => isKeptAway);
  const failures = new Map(
    topology?.called.map(({ namespace: ns, service, failures: failed }) => [`${ns}/${service}`, failed]),
  );
  const now = clock.now.value;
  const row = (cause: Cause): VNode =>
    attentionRow({ cause, overrides, failures: failures.get(cause.node.key) ?? null, now, staleSince });
  return (
    <section
      class="panel scroll"
      tabIndex={0}
      aria-label="What needs attention"
      ref={(box: HTMLElement | null) => void (stable.ref.current = box)}
    >
      <table class="attention">
        <thead>
          <tr>
            <th scope="col">
              <h2>Needs attention</h2> <span class="faint">{countText(countInstances(trouble))}</span>
            </th>
            <th scope="col">Why</th>
            <th scope="col" class="right">
              Since
            </th>
            <th scope="col">Next</th>
          </tr>
        </thead>
        <tbody>
          {trouble.length === 0 && (
            <tr>
              <td colSpan={4} class="faint">
                {staleSince === null
                  ? 'Nothing. Instances that are UNHEALTHY or CRITICAL, and those that an operator keeps away where no other one is callable, are listed here, the worst first.'
                  : `Nothing did at ${clockText(staleSince)}.`}
              </td>
            </tr>
          )}
          {stable.rows.slice(0, MAX_ROWS).map(row)}
          <More causes={hidden.filter(({ isKeptAway }) => !isKeptAway)} filters={{ state: 'CRITICAL,UNHEALTHY' }} />
          <More causes={away} what="kept away by operators" filters={{ callable: 'no' }} />
        </tbody>
        {onTheWay.length > 0 && (
          <tbody>
            <tr class="group">
              <th scope="rowgroup" colSpan={4}>
                <h2>On the way</h2> <span class="faint">{countText(countInstances(onTheWay))}</span>{' '}
                <span class="faint">{staleSince === null ? 'nothing to do' : `as of ${clockText(staleSince)}`}</span>
              </th>
            </tr>
            {onTheWay.slice(0, MAX_ROWS).map(row)}
            <More causes={onTheWay.slice(MAX_ROWS)} filters={{ state: 'REGISTERING,DEREGISTERING' }} />
          </tbody>
        )}
      </table>
    </section>
  );
}

interface MoreProps {
  readonly causes: readonly Cause[];
  /** Their description; left out: that of the filters. */
  readonly what?: string;
  /** The route of the list that has them. */
  readonly filters: Filters;
}

function More({ causes, what = '', filters }: MoreProps): VNode | null {
  if (causes.length === 0) return null;
  return (
    <tr>
      <td colSpan={4}>
        <a class="link" href={hashOf('instances', filters)}>
          {`${plural(countInstances(causes), 'more instance')} ${what}`.trim()}
        </a>
      </td>
    </tr>
  );
}

interface AttentionRow {
  readonly cause: Cause;
  readonly overrides: Overrides;
  readonly failures: number | null;
  readonly now: number;
  readonly staleSince: number | null;
}

/**
 * Rows of this page are made by functions, not by components: @preact/signals skips a component that reads a signal and
 * gets the same props again, and what Preact 10.29 then keeps of it refers to the earlier page, and that to the one
 * before it. `npm run bench -- dashboard` shows it as a growing heap; it measures this page alone, not the others.
 */
function attentionRow({ cause, overrides, failures, now, staleSince }: AttentionRow): VNode {
  const { node, first, isKeptAway } = cause;
  const isOld = staleSince !== null;
  const isTrouble = isKeptAway || needsAttention(first);
  const standing = standingOf(node.instances.value);
  const since = sinceOf(cause, overrides);
  const evidence = isKeptAway ? '' : evidenceOf(first);
  const facts = [
    ...(first.version === '' || isTrouble ? [] : [`version ${first.version}`]),
    standingText(standing),
    ...(failures === null || !isTrouble ? [] : [`${plural(failures, 'call')} failed`]),
  ];
  const colour = isOutage(standing.count) ? 'CRITICAL' : first.state;
  return (
    <tr key={cause.key} class={isTrouble ? `tinted ${colour}` : ''} data-row data-problem={isTrouble ? '' : undefined}>
      <td>{subjectOf(cause)}</td>
      <td>
        <p class="why">{reasonOf({ cause, overrides, now, isOld })}</p>
        <p class="sub">
          {evidence !== '' && cause.instances.length > 1 && 'e.g. '}
          {evidence !== '' && <span class="mono">{evidence}</span>}
          {evidence !== '' && ' · '}
          {facts.join(' · ')}
        </p>
      </td>
      <td class="right nowrap since">{since === null ? '–' : isOld ? clockText(since) : ageText(now - since)}</td>
      <td class="next">{nextOf({ cause, overrides, now, staleSince })}</td>
    </tr>
  );
}

/** Its state, and its subject: one instance, or several, with a link to them. */
function subjectOf(cause: Cause): VNode {
  const { node, first, instances, isKeptAway } = cause;
  const { namespace, name } = node;
  return (
    <>
      {isKeptAway ? NotCallable() : <StateWord instance={first} />}
      {instances.length === 1 ? (
        <InstanceLink id={first.id} service={name} namespace={namespace} />
      ) : (
        ServiceLink({ namespace, name, class: 'strong clip' })
      )}
      <p class={instances.length > 1 ? 'sub many' : 'sub'}>
        {first.admin !== 'ENABLED' && <b>{first.admin} </b>}
        {instances.length > 1 && (
          <a class="link" href={hashOf('instances', filtersOf(cause))}>
            {plural(instances.length, 'instance')}
          </a>
        )}
      </p>
    </>
  );
}

interface CauseTextInput {
  readonly cause: Cause;
  readonly overrides: Overrides;
  readonly now: number;
}

function reasonOf({ cause, overrides, now, isOld }: CauseTextInput & { readonly isOld: boolean }): string {
  const { first, isKeptAway } = cause;
  const { admin } = first;
  const away = admin === 'ENABLED' ? '' : awayReason({ admin, terms: termsIn(cause, overrides), now, isOld });
  return isKeptAway ? away : `${away} ${reasonText(first, isOld)}`.trim();
}

function nextOf({ cause, overrides, now, staleSince }: CauseTextInput & { readonly staleSince: number | null }): VNode {
  const { instances, first, isKeptAway } = cause;
  const { admin } = first;
  const away = admin === 'ENABLED' ? '' : awayEnd({ admin, terms: termsIn(cause, overrides), now });
  if (isKeptAway && staleSince === null) return <>{away}</>;
  const next = nextText(soonestOf(cause), staleSince === null ? now : null, staleSince ?? now);
  const isClocked = next.ratio !== null && needsAttention(first);
  return (
    <>
      {instances.length > 1 && isClocked && 'first: '}
      {next.what}
      {next.unless !== '' && <p class="sub">{next.unless}</p>}
      {away !== '' && <p class="sub">{`${admin} ${away}`}</p>}
      {isClocked && countdownOf(next)}
    </>
  );
}

function countdownOf({ ratio, state }: NextText): VNode {
  return (
    <span class={`countdown ${state === 'REMOVED' ? 'DEREGISTERING' : (state ?? '')}`} aria-hidden="true">
      <i style={{ width: `${Math.round((ratio ?? 0) * 100)}%` }} />
    </span>
  );
}
