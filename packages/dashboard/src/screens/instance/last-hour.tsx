import type { VNode } from 'preact';
import type { TimelineAnswer } from '../../model/live/answers.js';
import { valueOf } from '../../model/live/known.js';
import type { Known } from '../../model/live/known.js';
import { useNamespace, useSession } from '../../model/live/session.js';
import { ageText, clockText, plural } from '../../model/text/age.js';
import { momentText } from '../../model/text/moment.js';
import { tailOf } from '../../model/text/instance-text.js';
import { historyOf, newestOf } from '../../model/view/last-hour.js';
import type { HistoryRow } from '../../model/view/last-hour.js';
import { hashOf } from '../../model/view/route.js';
import { EventMark, eventText } from '../../parts/charts/event-lines.js';
import { HOUR_MS, Timeline } from '../../parts/charts/timeline.js';
import { StateWord } from '../../parts/glyph.js';
import { Panel } from '../../parts/panel.js';
import { asOfText, Unknown } from '../../parts/unknown.js';

/** The maximum number of rows; the screen of events has all. */
const MAX_ROWS = 8;

interface LastHourProps {
  readonly id: string;
  /** Null: not known. */
  readonly namespace: string | null;
  readonly timeline: Known<TimelineAnswer>;
}

/**
 * The states of the last hour as a strip; below it the newest changes and actions of operators, and a link to all
 * events.
 */
export function LastHour({ id, namespace, timeline }: LastHourProps): VNode {
  const { clock } = useSession();
  const chosen = useNamespace();
  const isOld = timeline.kind === 'known' && timeline.asOf !== null;
  const now = isOld ? timeline.asOf : clock.now.value;
  const events = valueOf(timeline)?.events ?? [];
  const rows = historyOf(events, now);
  const marks = [3, 2, 1, 0].map((thirds) => now - (thirds * HOUR_MS) / 3);
  // events of another namespace than the chosen one are not shown
  const elsewhere = namespace === null || chosen === '*' || chosen === namespace ? {} : { ns: namespace };
  return (
    <Panel
      title="State, last hour"
      aside={timeline.kind === 'known' ? asOfText(timeline) || plural(rows.length, 'change') : '–'}
    >
      <div class="panel-body">
        <Timeline events={events} now={now} />
        <p class="axis">
          {marks.map((at) => (
            <span key={at}>{clockText(at).slice(0, 5)}</span>
          ))}
        </p>
      </div>
      <table class="lines">
        <tbody>
          {newestOf(rows, MAX_ROWS).map((row) => (
            <Row key={row.event.seq} row={row} />
          ))}
        </tbody>
      </table>
      {timeline.kind === 'known' ? (
        rows.length === 0 && (
          <p class="panel-body faint">Nothing {isOld ? 'was known of it then' : 'is known of it before now'}.</p>
        )
      ) : (
        <Unknown value={timeline} />
      )}
      <p class="panel-foot">
        <a class="link" href={hashOf('events', { instance: id, ...elsewhere })}>
          All events of …{tailOf(id)}
        </a>
      </p>
    </Panel>
  );
}

function Row({ row: { event, lastedMs } }: { readonly row: HistoryRow }): VNode {
  const { at, state, reason } = event;
  return (
    <tr>
      <td class="mono faint nowrap">{momentText(at, Date.now())}</td>
      <td class="nowrap">
        {lastedMs === null || state === null ? (
          <span class="kind">
            <EventMark event={event} />
            operator
          </span>
        ) : (
          <StateWord instance={{ state, ...(reason === null ? {} : { reason }) }} />
        )}
      </td>
      <td class="wide">{eventText(event)}</td>
      <td class="right nowrap">{lastedMs === null ? '' : ageText(lastedMs)}</td>
    </tr>
  );
}
