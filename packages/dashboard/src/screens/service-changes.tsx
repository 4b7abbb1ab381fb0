import type { VNode } from 'preact';
import { clockText } from '../model/age.js';
import type { EventsAnswer } from '../model/answers.js';
import { hashOf, instanceHash } from '../model/route.js';
import { valueOf } from '../model/known.js';
import { useKnown } from '../model/session.js';
import { tailOf } from '../model/words.js';
import { EventMark, happenedText } from '../parts/event-lines.js';
import { Panel } from '../parts/panel.js';
import { asOfText, Unknown } from '../parts/unknown.js';

interface ChangesProps {
  readonly namespace: string;
  readonly name: string;
}

/** What happened last to a service. */
export function ServiceChanges({ namespace, name }: ChangesProps): VNode {
  const path = `api/v1/events?limit=8&namespace=${encodeURIComponent(namespace)}&service=${encodeURIComponent(name)}`;
  const known = useKnown<EventsAnswer>(path, { everyMs: 15_000, onNews: true });
  const events = valueOf(known)?.events.toReversed() ?? null;
  return (
    <Panel title="Last changes" aside={<a href={hashOf('events', { service: name })}>All events of {name}</a>}>
      {events === null ? (
        <Unknown of={known} />
      ) : events.length === 0 ? (
        <p class="panel-body faint">
          {asOfText(known) === ''
            ? 'Nothing has happened to it since the registry started.'
            : `Nothing had happened to it, ${asOfText(known)}.`}
        </p>
      ) : (
        <table>
          <tbody>
            {events.map((event) => (
              <tr key={event.seq}>
                <td class="mono faint nowrap">{clockText(event.at)}</td>
                <td class="nowrap">
                  <span class={`state ${event.state ?? ''}`}>
                    <EventMark of={event} />
                    {event.state ?? event.kind}
                  </span>
                </td>
                <td class="mono nowrap">
                  {event.instance === null ? (
                    ''
                  ) : (
                    <a href={instanceHash(event.instance)}>{`${name}…${tailOf(event.instance)}`}</a>
                  )}
                </td>
                <td class="wide">{happenedText(event)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Panel>
  );
}
