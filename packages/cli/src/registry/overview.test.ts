import type { RegistryClient, WatchRequest, WatchSink } from '@rollcall/client';
import { reasonFor } from '@rollcall/core';
import type { Frame, Instance, Tombstone } from '@rollcall/core';
import { ManualTime, seededRandom } from '@rollcall/core/testing';
import { beforeEach, describe, expect, it } from 'vitest';
import { Overview } from './overview.js';
import type { InstanceChange } from './overview.js';

const EPOCH = '0192f000-0000-7000-8000-000000000001';
const OTHER_EPOCH = '0192f000-0000-7000-8000-000000000002';

function instance(id: string, revision: number, state: Instance['state'] = 'HEALTHY'): Instance {
  return {
    id,
    service: id.split('-')[0] ?? id,
    namespace: 'default',
    endpoints: [{ protocol: 'tcp', host: '10.0.0.5', port: 3001, tls: false }],
    version: '',
    zone: '',
    weight: 100,
    metadata: {},
    state,
    reason: reasonFor(state === 'HEALTHY' ? 'BOTH_WAYS_OK' : 'NEW'),
    since: 0,
    next: null,
    admin: 'ENABLED',
    source: 'native',
    registeredAt: 0,
    revision,
  };
}

const reset = (
  service: string,
  revision: number,
  instances: Instance[],
  overrides: { epoch?: string; removed?: Tombstone[] } = {},
): Frame => ({
  event: 'reset',
  data: {
    namespace: 'default',
    service,
    epoch: EPOCH,
    revision,
    part: 0,
    complete: true,
    instances,
    removed: [],
    ...overrides,
  },
});
const change = (service: string, upsert: Instance[], remove: Tombstone[] = []): Frame => ({
  event: 'change',
  data: { namespace: 'default', service, upsert, remove },
});
const status = (settled: boolean): Frame => ({ event: 'status', data: { settled } });

/** A registry's end of the feed. */
class FakeLink implements Pick<RegistryClient, 'watch'> {
  readonly requests: WatchRequest[] = [];
  sink!: WatchSink;
  open = 0;

  watch(request: WatchRequest, sink: WatchSink) {
    this.requests.push(request);
    this.sink = sink;
    this.open += 1;
    let isOpen = true;
    const close = (): void => {
      if (!isOpen) return;
      isOpen = false;
      this.open -= 1;
      sink.closed(null);
    };
    return { close };
  }

  flush(revision: number, frames: Frame[], epoch = EPOCH): void {
    for (const frame of frames) this.sink.frame(frame);
    this.sink.mark({ epoch, revision });
  }
}

describe('an overview', () => {
  let link: FakeLink;
  let time: ManualTime;
  let overview: Overview;
  let reports: (readonly InstanceChange[])[];

  beforeEach(() => {
    link = new FakeLink();
    time = new ManualTime();
    reports = [];
    overview = new Overview({
      link: link as unknown as RegistryClient,
      time,
      random: seededRandom(1),
      changed: (changes) => void reports.push(changes),
    });
    overview.start();
  });

  const ids = (): string[] => overview.instances.map(({ id }) => id).toSorted();

  it('requests everything, and is live as soon as it is complete', () => {
    expect(link.requests).toEqual([
      { namespace: 'default', services: ['*'], resume: [], cursor: null, line: null, beatMs: 5_000 },
    ]);
    link.sink.opened();
    expect(overview.isLive).toBe(false);
    link.flush(7, [reset('a', 7, [instance('a-1', 3)]), reset('b', 7, [instance('b-1', 5)])]);
    expect(overview).toMatchObject({ isLive: true, revision: 7 });
    expect(ids()).toEqual(['a-1', 'b-1']);
  });

  it('reports each change of an instance, and the reason of a removal', () => {
    link.flush(7, [reset('a', 7, [instance('a-1', 3, 'REGISTERING')])]);
    link.flush(8, [change('a', [instance('a-1', 8), instance('a-2', 8, 'REGISTERING')])]);
    link.flush(9, [change('a', [], [{ id: 'a-1', revision: 9, reason: reasonFor('GOODBYE') }])]);
    link.flush(10, []);
    expect(
      reports.map((changes) =>
        changes.map(({ instance: { id, state }, before, removed }) => [
          id,
          before?.state ?? null,
          state,
          removed?.reason?.code ?? null,
        ]),
      ),
    ).toEqual([
      [['a-1', null, 'REGISTERING', null]],
      [
        ['a-1', 'REGISTERING', 'HEALTHY', null],
        ['a-2', null, 'REGISTERING', null],
      ],
      [['a-1', 'HEALTHY', 'HEALTHY', 'GOODBYE']],
    ]);
  });

  it('keeps its instances while the registry is away, opens the feed again and resumes', () => {
    link.flush(7, [reset('a', 7, [instance('a-1', 3)])]);
    link.sink.closed(null);
    expect(overview).toMatchObject({ isLive: false, lastMessageAt: time.wall() });
    expect(ids()).toEqual(['a-1']);
    time.advance(100);
    expect(link.requests[1]).toMatchObject({ services: ['*'], resume: ['a'], cursor: { epoch: EPOCH, revision: 7 } });
  });

  it('tries an unreachable registry about once a second, with jitter', () => {
    for (let tries = 0; tries < 20; tries += 1) {
      link.sink.closed(null);
      time.advance(1_000);
    }
    expect(link.requests.length).toBe(21);
  });

  it('keeps instances that a new registry does not know yet, until that is settled', () => {
    link.flush(7, [status(true), reset('a', 7, [instance('a-1', 3), instance('a-2', 4)])]);
    link.sink.closed(null);
    time.advance(100);
    link.flush(1, [status(false), reset('a', 1, [instance('a-2', 1)], { epoch: OTHER_EPOCH })], OTHER_EPOCH);
    expect(ids()).toEqual(['a-1', 'a-2']);
    link.flush(1, [status(true)], OTHER_EPOCH);
    expect(ids()).toEqual(['a-2']);
  });

  it('turns old from the second missed sign of life on, as of the last message', () => {
    link.sink.opened(5_000);
    link.flush(7, [reset('a', 7, [instance('a-1', 3)])]);
    time.advance(4_000);
    link.flush(7, []);
    const lastMessageAt = time.wall();
    time.advance(10_900);
    expect(overview).toMatchObject({ isLive: true, isSilent: false });
    const before = reports.length;
    time.advance(200);
    expect(overview).toMatchObject({ isLive: false, isSilent: true, lastMessageAt });
    expect(reports.length).toBe(before + 1);
    time.advance(9_000);
    link.sink.silent?.();
    link.sink.closed(null);
    expect(overview).toMatchObject({ isLive: false, isSilent: true, lastMessageAt });
    time.advance(1_000);
    link.sink.closed(null);
    expect(overview).toMatchObject({ isSilent: false, lastMessageAt });
    time.advance(1_000);
    link.flush(8, []);
    expect(overview).toMatchObject({ isLive: true, isSilent: false, lastMessageAt: time.wall() });
  });

  it('allows a second more for a registry that does not support the requested silence', () => {
    link.sink.opened();
    link.flush(7, []);
    time.advance(11_900);
    expect(overview.isLive).toBe(true);
    time.advance(200);
    expect(overview.isLive).toBe(false);
  });

  it('carries the date of the last message, not of the end of the feed', () => {
    link.flush(7, [reset('a', 7, [instance('a-1', 3)])]);
    const lastMessageAt = time.wall();
    time.advance(3_000);
    link.sink.closed(null);
    expect(overview).toMatchObject({ isLive: false, isSilent: false, lastMessageAt });
  });

  it('watches a service again when its frames break the protocol', () => {
    link.flush(7, [reset('a', 7, [instance('a-1', 3)])]);
    link.sink.frame(change('b', [instance('b-1', 8)]));
    expect(overview.isLive).toBe(false);
    time.advance(100);
    expect(link.requests[1]).toMatchObject({ resume: ['a'] });
  });

  it('may be closed twice, and then opens nothing more', () => {
    overview.close();
    overview.close();
    time.advance(10_000);
    expect(link.open).toBe(0);
    expect(link.requests).toHaveLength(1);
    expect(time.pending()).toEqual({ foreground: 0, background: 0 });
  });
});
