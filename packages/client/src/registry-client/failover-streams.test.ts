import { ManualTime, recordingLog, seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { FailoverClient } from './failover.js';
import { FakeLink } from './registry-client.fixture.js';

describe('FailoverClient with several streams', () => {
  it('uses one registry for all streams, even if it is found while another stream opens', async () => {
    const time = new ManualTime();
    const [a, b] = [new FakeLink('http://a.test'), new FakeLink('http://b.test')];
    const log = recordingLog();
    const link = new FailoverClient({ links: [a, b], order: 'listed', time, random: seededRandom(1), log });
    const events: string[] = [];
    const open = (name: string): void => {
      const sink = { opened: () => events.push(`${name} opened`), closed: () => events.push(`${name} closed`) };
      const request = { namespace: 'default', services: [name], resume: [], cursor: null, line: null };
      link.watch(request, { ...sink, frame: () => {}, mark: () => {}, batch: (deliver) => deliver() });
    };
    open('orders');
    open('users');
    a.streams[1]?.end();
    expect(b.streams).toHaveLength(1);
    a.streams[0]?.openOnly();
    b.streams[0]?.openOnly();
    expect(events).toEqual(['orders opened', 'users closed']);
    expect(b.stream.isClosed).toBe(true);
    open('users');
    a.stream.end();
    expect([a.streams.length, b.streams.length]).toEqual([3, 1]);
    await link.close();
  });
});
