import type { VNode } from 'preact';
import type { RegistryEvent } from '../../model/live/answers.js';
import { momentText } from '../../model/text/moment.js';
import { tailOf } from '../../model/text/words.js';
import { instanceHash, serviceHash } from '../../model/view/route.js';
import { Glyph } from '../glyph.js';
import { Icon } from '../icon.js';
import type { IconName } from '../icon.js';
import { InNamespace } from '../namespace.js';

const ICONS: Readonly<Record<string, IconName>> = { admin: 'person', preservation: 'shield', circuit: 'circuit' };

/** The shape of an event: of the state it led to, else of its kind. */
export function EventMark({ of }: { readonly of: RegistryEvent }): VNode {
  const isState = of.state !== null && of.kind !== 'admin' && of.kind !== 'circuit';
  if (isState && of.state !== null) {
    return <Glyph of={{ state: of.state, ...(of.reason === null ? {} : { reason: of.reason }) }} />;
  }
  return <Icon name={of.kind === 'removed' ? 'close' : (ICONS[of.kind] ?? 'dot')} />;
}

/** Whom an event is about. */
export function subjectOf({ instance, service }: RegistryEvent): string {
  if (instance !== null) return `${service ?? ''}…${tailOf(instance)}`;
  return service ?? 'registry';
}

/** The event and its reason: `HEALTHY → UNHEALTHY: it cannot be reached: connect ECONNREFUSED …`. */
export function happenedText({ text, reason, kind }: RegistryEvent): string {
  if (reason === null || reason.text === '' || text.includes(reason.text)) return text;
  if (kind === 'state' || kind === 'removed') return `${text}: ${reason.text}`;
  return kind === 'admin' ? `${text}: “${reason.text}”` : text;
}

/** Whom an event is about, with a link to it, in a sentence. */
function Subject({ of }: { readonly of: RegistryEvent }): VNode {
  const { namespace, service, instance } = of;
  if (service === null) return <b>{subjectOf(of)}</b>;
  return (
    <a href={instance === null ? serviceHash(namespace ?? 'default', service) : instanceHash(instance)}>
      <InNamespace of={namespace} />
      <b>{subjectOf(of)}</b>
    </a>
  );
}

/** A short list: time, name, event. */
export function EventLines({ of }: { readonly of: readonly RegistryEvent[] }): VNode {
  return (
    <ul class="event-lines">
      {of.map((event) => (
        <li key={event.seq}>
          <time>{momentText(event.at, Date.now())}</time>
          <EventMark of={event} />
          <span>
            <Subject of={event} /> {happenedText(event)}
          </span>
        </li>
      ))}
    </ul>
  );
}
