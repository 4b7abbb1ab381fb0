import type { VNode } from 'preact';
import type { EventsAnswer } from '../../model/live/answers.js';
import { valueOf } from '../../model/live/known.js';
import { useKnown } from '../../model/live/session.js';
import { momentText } from '../../model/text/moment.js';
import { hashOf } from '../../model/view/route.js';
import { EventMark, eventText } from '../../parts/charts/event-lines.js';
import { InstanceLink } from '../../parts/name.js';
import { Panel } from '../../parts/panel.js';
import { asOfText, Unknown } from '../../parts/unknown.js';

interface ChangesProps {
  readonly namespace: string;
  readonly name: string;
}

/** The last events of a service. */
export function ServiceChanges({ namespace, name }: ChangesProps): VNode {
  const path = `api/v1/events?limit=8&namespace=${encodeURIComponent(namespace)}&service=${encodeURIComponent(name)}`;
  const known = useKnown<EventsAnswer>(path, { everyMs: 15_000, onChange: true });
  const events = valueOf(known)?.events.toReversed() ?? null;
  return (
    <Panel
      title="Last changes"
      aside={<a href={hashOf('events', { service: name, ns: namespace })}>All events of {name}</a>}
    >
      {events === null ? (
        <Unknown value={known} />
      ) : events.length === 0 ? (
        <p class="panel-body faint">
          {asOfText(known) === ''
            ? 'Nothing has happened to it since the registry started.'
            : `Nothing had happened to it, ${asOfText(known)}.`}
        </p>
      ) : (
        <table class="lines">
          <tbody>
            {events.map((event) => (
              <tr key={event.seq}>
                <td class="mono faint nowrap">{momentText(event.at, Date.now())}</td>
                <td class="nowrap">
                  <span class={`state ${event.state ?? ''}`}>
                    <EventMark event={event} />
                    {event.state ?? event.kind}
                  </span>
                </td>
                <td class="nowrap">{event.instance !== null && <InstanceLink id={event.instance} />}</td>
                <td class="wide">{eventText(event)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Panel>
  );
}
