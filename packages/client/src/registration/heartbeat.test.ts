import type { BeatAnswer, Problem, Result } from '@rollcall/core';
import { ManualTime, recordingLog, seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { Contact } from '../registry-client/connection-status.js';
import { problemOf, FakeLink } from '../registry-client/registry-client.fixture.js';
import type { EdgeStats } from '../telemetry/call-stats.js';
import { CallReport } from './call-report.js';
import { Heartbeat } from './heartbeat.js';
import { Identity } from './identity.js';

function setUp() {
  const time = new ManualTime();
  const log = recordingLog();
  const link = new FakeLink();
  const contact = new Contact(log, link.name);
  const identity = new Identity({ time, random: seededRandom(1), service: 'orders', called: () => {} });
  const answers: string[] = [];
  const edges: EdgeStats[] = [];
  const heartbeat = new Heartbeat({
    time,
    log,
    link,
    contact,
    identity,
    news: new CallReport(() => edges),
    answered: (answer: Result<BeatAnswer, Problem>, kind) =>
      void answers.push(`${kind} ${answer.ok ? answer.value.state : answer.problem.code}`),
  });
  return { time, log, link, contact, heartbeat, answers, edges };
}

describe('Heartbeat', () => {
  it('sends a beat once per interval, even without calls of the registry, with increasing numbers', async () => {
    const { time, link, heartbeat, answers } = setUp();
    heartbeat.start(5_000, 1_200);
    await time.advanceBy(1_199);
    expect(link.beats).toEqual([]);
    await time.advanceBy(15_001);
    expect(link.beats).toEqual([1, 2, 3, 4].map((seq) => ({ nonce: null, seq })));
    expect(answers).toEqual(Array(4).fill('regular HEALTHY'));
  });

  it('sends one extra beat for all requests in one turn, without moving the regular ones', async () => {
    const { time, link, heartbeat, answers } = setUp();
    heartbeat.start(5_000, 2_000);
    await time.advanceBy(1_000);
    heartbeat.soon();
    heartbeat.soon();
    expect(link.beats).toEqual([]);
    await time.advanceBy(999);
    expect(answers).toEqual(['extra HEALTHY']);
    await time.advanceBy(1);
    expect(answers).toEqual(['extra HEALTHY', 'regular HEALTHY']);
  });

  it('reports calls with regular beats, if the report has new data', async () => {
    const { time, link, heartbeat, edges } = setUp();
    const seen = {
      service: 'users',
      windowMs: 5_000,
      calls: 3,
      failures: 0,
      retries: 0,
      p50Ms: 1,
      p99Ms: 2,
      inFlight: 0,
      window: 7,
    };
    edges.push({ ...seen, targets: [] });
    heartbeat.start(5_000, 0);
    heartbeat.soon();
    await time.advanceBy(5_000);
    expect(link.beats).toEqual([
      { nonce: null, seq: 1, edges: [seen] },
      { nonce: null, seq: 2 },
      { nonce: null, seq: 3 },
    ]);
  });

  it('opens a connection for each beat by default', async () => {
    const { time, link, heartbeat } = setUp();
    heartbeat.start(5_000, 0);
    heartbeat.soon();
    await time.advanceBy(10_000);
    expect(link.fresh).toEqual([true, true, true, true]);
  });

  it('opens a connection for every n-th regular beat if that suffices; the others share one', async () => {
    const { time, link, heartbeat } = setUp();
    heartbeat.start(5_000, 0, 3);
    await time.advanceBy(30_000);
    expect(link.fresh).toEqual([true, false, false, true, false, false, true]);
  });

  it('opens a connection for each extra beat, independent of the regular ones', async () => {
    const { time, link, heartbeat, answers } = setUp();
    heartbeat.start(5_000, 0, 3);
    await time.advanceBy(5_000);
    heartbeat.soon();
    await time.advanceBy(10_000);
    expect(answers.map((answer, at) => `${answer.split(' ')[0]} ${link.fresh[at]}`)).toEqual([
      'regular true',
      'regular false',
      'extra true',
      'regular false',
      'regular true',
    ]);
  });

  it('opens a connection for each beat after a loss until one succeeds, and shares again', async () => {
    const { time, link, heartbeat } = setUp();
    heartbeat.start(5_000, 0, 100);
    await time.advanceBy(5_000);
    link.onBeat = () => 'unreachable';
    await time.advanceBy(15_000);
    link.onBeat = () => ({ ok: true, value: { state: 'HEALTHY', revision: 3 } });
    await time.advanceBy(15_000);
    expect(link.fresh).toEqual([true, false, false, true, true, true, false, false]);
  });

  it('opens a connection for each beat while its certificate is untrusted, and keeps none: the certificate may change', async () => {
    const { time, link, heartbeat } = setUp();
    heartbeat.start(5_000, 0, 100);
    await time.advanceBy(5_000);
    link.onBeat = () => ({ ok: false, problem: problemOf('CERTIFICATE_UNTRUSTED') });
    const before = link.releases;
    await time.advanceBy(15_000);
    expect(link.releases).toBe(before + 3);
    link.onBeat = () => ({ ok: true, value: { state: 'HEALTHY', revision: 3 } });
    await time.advanceBy(15_000);
    expect(link.fresh).toEqual([true, false, false, true, true, true, false, false]);
  });

  it('does not delay a beat because of another without an answer', async () => {
    const { time, link, heartbeat } = setUp();
    heartbeat.start(5_000, 0, 100);
    await time.advanceBy(0);
    const fresh: boolean[] = [];
    link.beat = (_proof, _beat, options) => {
      fresh.push(options?.fresh ?? true);
      return new Promise(() => {});
    };
    await time.advanceBy(10_000);
    expect(fresh).toEqual([false, true]);
  });

  it('shares no connection that the registry would close between two beats', async () => {
    const { time, link, heartbeat } = setUp();
    heartbeat.start(30_000, 0, 10);
    await time.advanceBy(90_000);
    expect(link.fresh).toEqual([true, true, true, true]);
  });

  it('drops the shared connection when it stops, and starts with a new one', async () => {
    const { time, link, heartbeat } = setUp();
    heartbeat.start(5_000, 0, 3);
    await time.advanceBy(5_000);
    const before = link.releases;
    heartbeat.stop();
    expect(link.releases).toBe(before + 1);
    heartbeat.start(5_000, 0, 3);
    await time.advanceBy(5_000);
    expect(link.fresh).toEqual([true, false, true, false]);
  });

  it('uses timers that do not keep the process alive', () => {
    const { time, heartbeat } = setUp();
    heartbeat.start(5_000, 0);
    heartbeat.soon();
    expect(time.pending().foreground).toBe(0);
  });

  it('continues its sequence after a restart', async () => {
    const { time, link, heartbeat } = setUp();
    heartbeat.start(5_000, 0);
    await time.advanceBy(0);
    heartbeat.stop();
    heartbeat.start(1_000, 0);
    await time.advanceBy(1_000);
    expect(link.beats.map(({ seq }) => seq)).toEqual([1, 2, 3]);
  });

  it('sends nothing before start and after stop', async () => {
    const { time, link, heartbeat } = setUp();
    heartbeat.soon();
    heartbeat.start(5_000, 0);
    heartbeat.soon();
    heartbeat.stop();
    heartbeat.stop();
    await time.advanceBy(60_000);
    expect(link.beats).toEqual([]);
    expect(time.pending()).toEqual({ foreground: 0, background: 0 });
  });

  it('drops the answer to a beat from before the stop', async () => {
    const { time, heartbeat, answers } = setUp();
    heartbeat.start(5_000, 0);
    time.advance(0);
    heartbeat.stop();
    heartbeat.start(5_000, 5_000);
    await time.advanceBy(0);
    expect(answers).toEqual([]);
  });

  it('limits the number of beats in flight', async () => {
    const { time, link, heartbeat } = setUp();
    let sent = 0;
    link.beat = () => {
      sent += 1;
      return new Promise(() => {});
    };
    heartbeat.start(5_000, 0);
    await time.advanceBy(600_000);
    expect(sent).toBe(8);
  });

  it('logs once that beats fail while the feed is open, and once that they succeed again', async () => {
    const { time, log, link, contact, heartbeat } = setUp();
    contact.opened();
    link.onBeat = () => 'unreachable';
    heartbeat.start(5_000, 0);
    await time.advanceBy(0);
    expect(log.texts('warn')).toEqual([]);
    await time.advanceBy(60_000);
    expect(log.texts('warn')).toHaveLength(1);
    link.onBeat = () => ({ ok: true, value: { state: 'UNHEALTHY', revision: 3 } });
    await time.advanceBy(60_000);
    expect(log.texts('info').filter((text) => text.includes('gets through again'))).toHaveLength(1);
  });

  it('does not log lost beats while the registry is unreachable, but does if only the beats continue to fail', async () => {
    const { time, log, link, contact, heartbeat } = setUp();
    link.onBeat = () => 'unreachable';
    heartbeat.start(5_000, 0);
    await time.advanceBy(60_000);
    expect(log.texts('warn')).toEqual([]);
    contact.opened();
    await time.advanceBy(5_000);
    expect(log.texts('warn')).toHaveLength(1);
  });
});
