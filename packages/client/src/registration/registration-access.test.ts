import { ManualTime, recordingLog, seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { Contact } from '../registry-client/connection-status.js';
import { problemOf, FakeLink } from '../registry-client/registry-client.fixture.js';
import { ServiceRegistration } from './registration.js';

const self = { service: 'orders', namespace: 'shop', version: '1.0.0', zone: 'eu-1a', weight: 50, metadata: {} };
const untrusted = () => ({ ok: false as const, problem: problemOf('CERTIFICATE_UNTRUSTED') });

/** A registration that is started and has sent its first beats. */
async function entered(link = new FakeLink()) {
  const [time, log] = [new ManualTime(), recordingLog()];
  /** For each change of the line, whether a line was to be opened. */
  const lines: boolean[] = [];
  const session: ServiceRegistration = new ServiceRegistration({
    time,
    random: seededRandom(1),
    log,
    link,
    contact: new Contact(log, link.name),
    self,
    intervalMs: 5_000,
    lineChanged: () => lines.push(session.proof() !== null),
    edges: () => [],
  });
  session.start([{ protocol: 'tcp', port: 3001 }]);
  await time.advanceBy(0);
  return { time, log, link, lines, session };
}

describe('ServiceRegistration with an untrusted certificate', () => {
  it('keeps sending heartbeats, keeps its line, and logs the reason once each time', async () => {
    const { time, link, log, lines, session } = await entered();
    const accepting = link.onBeat;
    for (const times of [1, 2]) {
      link.onBeat = untrusted;
      await time.advanceBy(20_000);
      expect(log.texts('error')).toHaveLength(times);
      link.onBeat = accepting;
      await time.advanceBy(60_000);
      expect(session.state).toBe('HEALTHY');
    }
    expect(link.beats).toHaveLength(32);
    expect(link.registrations).toHaveLength(1);
    expect(lines).toEqual([true]);
  });

  it('retries its registration about once an interval, and logs that once', async () => {
    const link = new FakeLink();
    link.onRegister = untrusted;
    const { time, log, session } = await entered(link);
    await time.advanceBy(60_000);
    expect(link.registrations.length).toBeGreaterThan(10);
    expect(link.registrations.length).toBeLessThanOrEqual(13);
    expect(log.texts('error')).toHaveLength(1);
    link.onRegister = () => ({ ok: true, value: null });
    await time.advanceBy(6_000);
    expect(session.proof()).not.toBeNull();
  });
});

describe('ServiceRegistration with an unknown token', () => {
  it('retries once soon, since the registry may not know the token yet, then as rarely as after other refusals', async () => {
    const link = new FakeLink();
    link.onRegister = () => ({ ok: false, problem: problemOf('UNAUTHORIZED') });
    const { time, session } = await entered(link);
    await time.advanceBy(1_499);
    expect(link.registrations).toHaveLength(1);
    await time.advanceBy(251);
    expect(link.registrations).toHaveLength(2);
    await time.advanceBy(29_999);
    expect(link.registrations).toHaveLength(2);
    link.onRegister = () => ({ ok: true, value: null });
    await time.advanceBy(5_001);
    expect(session.proof()).not.toBeNull();
  });
});
