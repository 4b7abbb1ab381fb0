import type { VNode } from 'preact';
import type { RegistryEvent } from '../../model/live/answers.js';
import { momentText } from '../../model/text/moment.js';
import { tailOf } from '../../model/text/instance-text.js';
import { instanceHash, serviceHash } from '../../model/view/route.js';
import { Glyph } from '../glyph.js';
import { Icon } from '../icon.js';
import type { IconName } from '../icon.js';
import { InNamespace } from '../namespace.js';

const ICONS: Readonly<Record<string, IconName>> = { admin: 'person', preservation: 'shield', circuit: 'circuit' };

/** The shape of an event: of the state it led to, else of its kind. */
export function EventMark({ event }: { readonly event: RegistryEvent }): VNode {
  const isState = event.state !== null && event.kind !== 'admin' && event.kind !== 'circuit';
  if (isState && event.state !== null) {
    return <Glyph shape={{ state: event.state, ...(event.reason === null ? {} : { reason: event.reason }) }} />;
  }
  return <Icon name={event.kind === 'removed' ? 'close' : (ICONS[event.kind] ?? 'dot')} />;
}

/** The subject of an event. */
export function subjectOf({ instance, service }: RegistryEvent): string {
  if (instance !== null) return `${service ?? ''}…${tailOf(instance)}`;
  return service ?? 'registry';
}

/** The event and its reason: `HEALTHY → UNHEALTHY: it cannot be reached: connect ECONNREFUSED …`. */
export function eventText({ text, reason, kind }: RegistryEvent): string {
  if (reason === null || reason.text === '' || text.includes(reason.text)) return text;
  if (kind === 'state' || kind === 'removed') return `${text}: ${reason.text}`;
  return kind === 'admin' ? `${text}: “${reason.text}”` : text;
}

/** The subject of an event in a sentence, with a link. */
function Subject({ event }: { readonly event: RegistryEvent }): VNode {
  const { namespace, service, instance } = event;
  if (service === null) return <b>{subjectOf(event)}</b>;
  return (
    <a href={instance === null ? serviceHash(namespace ?? 'default', service) : instanceHash(instance)}>
      <InNamespace namespace={namespace} />
      <b>{subjectOf(event)}</b>
    </a>
  );
}

/** A short list: time, name, event. */
export function EventLines({ events }: { readonly events: readonly RegistryEvent[] }): VNode {
  return (
    <ul class="event-lines">
      {events.map((event) => (
        <li key={event.seq}>
          <time>{momentText(event.at, Date.now())}</time>
          <EventMark event={event} />
          <span>
            <Subject event={event} /> {eventText(event)}
          </span>
        </li>
      ))}
    </ul>
  );
}
