import { describe, expect, it } from 'vitest';
import type { EventsAnswer, RegistryEvent } from '../live/answers.js';
import { eventsPath, exportedLines, EventPages, lastMinuteText, spanOf, withinSpan } from './events.js';

const event = (seq: number): RegistryEvent => ({
  seq,
  at: seq,
  kind: 'state',
  namespace: 'default',
  service: 'orders',
  instance: 'orders-1',
  state: 'HEALTHY',
  reason: null,
  revision: 1,
  by: 'registry',
  text: 'up',
});

/** A registry that keeps the events with these numbers, and what it was asked. */
function registryWith(seqs: readonly number[], epoch = 'e') {
  const paths: string[] = [];
  const get = async (path: string): Promise<EventsAnswer> => {
    paths.push(path);
    const query = new URL(path, 'http://x').searchParams;
    const limit = Number(query.get('limit'));
    const [after, before] = [query.get('after'), query.get('before')];
    const common = { epoch, since: 0, missed: 0, dropped: 7 };
    if (after !== null) {
      const events = seqs.filter((seq) => seq > Number(after)).slice(0, limit);
      const last = events.at(-1) ?? Number(after);
      return { ...common, last, more: last < (seqs.at(-1) ?? 0), older: true, events: events.map(event) };
    }
    const fitting = seqs.filter((seq) => before === null || seq < Number(before));
    const events = fitting.slice(-limit);
    return {
      ...common,
      last: seqs.at(-1) ?? 0,
      more: false,
      older: events.length < fitting.length,
      events: events.map(event),
    };
  };
  return { asked: paths, get };
}

const upTo = (last: number): number[] => Array.from({ length: last }, (_, at) => at + 1);
const seqsOf = ({ events }: { readonly events: readonly RegistryEvent[] }): number[] => events.map(({ seq }) => seq);

describe('eventsPath', () => {
  it('passes every filter to the registry', () => {
    const filters = {
      kind: 'Circuits',
      service: 'orders',
      instance: 'orders-1',
      state: 'CRITICAL',
      from: '10',
      to: '20',
    };
    const query = new URL(eventsPath('staging', filters, 0), 'http://x').searchParams;
    expect(Object.fromEntries(query)).toEqual({
      namespace: 'staging',
      kind: 'circuit',
      service: 'orders',
      instance: 'orders-1',
      state: 'CRITICAL',
      from: '10',
      to: '20',
    });
  });

  it('leaves out unknown filters and values', () => {
    expect(eventsPath('*', { ns: '*', kind: 'Party', state: 'DEAD', from: 'soon', instance: '' }, 0)).toBe(
      'api/v1/events?namespace=*',
    );
  });
});

describe('the last 10 minutes', () => {
  const MINUTE_MS = 60_000;

  it('start at the moment of the choice, whatever `from` and `to` are', () => {
    const filters = { last: '10 min', from: '10', to: '20' };
    const query = new URL(eventsPath('*', filters, 30 * MINUTE_MS), 'http://x').searchParams;
    expect(Object.fromEntries(query)).toEqual({ namespace: '*', from: String(20 * MINUTE_MS) });
    expect([spanOf(filters), spanOf({ last: '1 h' }), spanOf({ last: 'soon' }), spanOf({})]).toEqual([
      600_000,
      3_600_000,
      null,
      null,
    ]);
  });

  it('lose an event when it is older than that, and have none before it', () => {
    const shown = {
      events: [event(12), event(11), event(2)],
      missed: 0,
      older: true,
      dropped: 0,
      newer: false,
      isFull: false,
    };
    expect(seqsOf(withinSpan(shown, 9, 12))).toEqual([12, 11]);
    expect(withinSpan(shown, 9, 12).older).toBe(false);
    expect(withinSpan(shown, 10, 12)).toBe(shown);
    expect(withinSpan(shown, null, 1_000)).toBe(shown);
  });
});

describe('the pages of a screen', () => {
  it('read the newest events, then newer ones, then older ones', async () => {
    const { get } = registryWith(upTo(450));
    const pages = new EventPages('api/v1/events?namespace=*', 200);
    await pages.update(get);
    expect(seqsOf(pages.now)).toEqual(upTo(450).slice(-200).toReversed());
    expect(pages.now).toMatchObject({ older: true, dropped: 7 });
    await pages.update(registryWith(upTo(452)).get);
    expect(seqsOf(pages.now).slice(0, 3)).toEqual([452, 451, 450]);
    await pages.loadOlder(get);
    await pages.loadOlder(get);
    expect(seqsOf(pages.now)).toEqual(upTo(452).toReversed());
    expect(pages.now.older).toBe(false);
  });

  it('continue if there are more new events than fit on one page', async () => {
    const pages = new EventPages('api/v1/events?namespace=*', 200);
    await pages.update(registryWith(upTo(100)).get);
    const { get, asked: paths } = registryWith(upTo(750));
    await pages.update(get);
    expect(seqsOf(pages.now)).toEqual(upTo(750).toReversed());
    expect(pages.now.newer).toBe(false);
    expect(paths).toHaveLength(4);
  });

  it('continue up to the limit of the page, and later beyond it', async () => {
    const pages = new EventPages('api/v1/events?namespace=*', 200, 400);
    await pages.update(registryWith(upTo(100)).get);
    const { get, asked: paths } = registryWith(upTo(750));
    await pages.update(get);
    expect(paths).toHaveLength(2);
    expect(pages.now).toMatchObject({ newer: true });
    expect(seqsOf(pages.now)[0]).toBe(500);
    await pages.update(get);
    expect(pages.now).toMatchObject({ newer: false });
    expect(seqsOf(pages.now)[0]).toBe(750);
  });

  it('start again in another epoch', async () => {
    const pages = new EventPages('api/v1/events?namespace=*', 200);
    await pages.update(registryWith(upTo(3)).get);
    const restarted = registryWith([1], 'f');
    expect(pages.isRead).toBe(true);
    await pages.update(restarted.get);
    expect(pages.isRead).toBe(false);
    await pages.update(restarted.get);
    expect(seqsOf(pages.now)).toEqual([1]);
  });

  it('stop at the limit: the export has older events', async () => {
    const pages = new EventPages('api/v1/events?namespace=*', 200, 300);
    const { get } = registryWith(upTo(1_000));
    await pages.update(get);
    await pages.loadOlder(get);
    expect(pages.now.events).toHaveLength(300);
    expect(pages.now).toMatchObject({ isFull: true, older: true });
  });
});

const shown = (times: readonly number[], flags: { readonly older?: boolean; readonly newer?: boolean } = {}) => ({
  events: times.map((at) => ({ ...event(at), at })),
  missed: 0,
  older: false,
  dropped: 0,
  newer: false,
  isFull: false,
  ...flags,
});

describe('the last minute', () => {
  const NOW = 100_000;

  it.each([
    [shown([]), '0 events'],
    [shown([99_000, 98_000, 1_000]), '2 events'],
    [shown([99_000]), '1 event'],
    // the oldest row that is read is within the minute
    [shown([99_000, 98_000], { older: true }), 'at least 2 events'],
    [shown([99_000, 1_000], { older: true }), '1 event'],
    [shown([99_000, 1_000], { newer: true }), 'at least 1 event'],
  ])('counts the events that were read: %#', (of, text) => expect(lastMinuteText(of, NOW)).toBe(text));
});

describe('an export', () => {
  it('writes all matches, oldest first, one object per line', async () => {
    const { get, asked: paths } = registryWith(upTo(2_300));
    const lines = await exportedLines('api/v1/events?namespace=*&kind=state', get);
    expect(lines.map((line) => (JSON.parse(line) as RegistryEvent).seq)).toEqual(upTo(2_300));
    expect(paths).toHaveLength(3);
    for (const path of paths) expect(path).toContain('kind=state');
  });
});
