import type { RegistryEvent } from '@rollcall/core';
import { momentText } from '../terminal/moments.js';
import { printable } from '../terminal/texts.js';

type EventFields = Pick<RegistryEvent, 'kind' | 'text' | 'reason' | 'at' | 'untilMs'>;

/**
 * The text of an event, its reason and its end: for a state its reason, for an action of an operator the operator's
 * reason and its end.
 */
export function eventText(event: EventFields): string {
  const { kind, text, reason } = event;
  const why = reason?.text ?? '';
  const until = event.untilMs === undefined ? '' : `, until ${momentText(event.untilMs, event.at)}`;
  if (why === '' || text.includes(why)) return printable(`${text}${until}`);
  if (reason?.code === 'OPERATOR') return printable(`${text} (${why})${until}`);
  return printable(kind === 'state' || kind === 'removed' ? `${text}: ${why}` : text);
}
