import { ManualTime, recordingLog, seededRandom } from '@rollcall/core/testing';
import { expect, it } from 'vitest';
import { Contact } from '../registry-client/connection-status.js';
import { problemOf, FakeLink } from '../registry-client/registry-client.fixture.js';
import { ServiceRegistration } from './registration.js';

const endpoints = [{ protocol: 'tcp' as const, port: 3001 }];
const self = { service: 'orders', namespace: 'shop', version: '', zone: '', weight: 50, metadata: { a: 'b' } };

function world() {
  const [time, log, link] = [new ManualTime(), recordingLog(), new FakeLink()];
  const contact = new Contact(log, link.name);
  const random = seededRandom(1);
  const parts = { time, random, log, link, contact, self, intervalMs: 5_000, lineChanged: () => {}, edges: () => [] };
  const sentMetadata = () => link.registrations.map(({ metadata }) => metadata);
  return { time, log, link, session: new ServiceRegistration(parts), sentMetadata };
}

it('metadata that is set before the registration is part of it', async () => {
  const { time, session, sentMetadata } = world();
  session.setMetadata({ hooks: 'off' });
  await time.advanceBy(1_000);
  expect(sentMetadata()).toEqual([]);
  session.start(endpoints);
  await time.advanceBy(0);
  expect(sentMetadata()).toEqual([{ a: 'b', hooks: 'off' }]);
});

it('metadata that is set later is sent at once with a new registration, and with each later one', async () => {
  const { time, link, session, sentMetadata } = world();
  session.start(endpoints);
  await time.advanceBy(0);
  session.setMetadata({ hooks: 'off' });
  await time.advanceBy(0);
  expect(sentMetadata()).toEqual([{ a: 'b' }, { a: 'b', hooks: 'off' }]);
  link.onBeat = () => ({ ok: false, problem: problemOf('NOT_FOUND') });
  await time.advanceBy(10_000);
  expect(sentMetadata().length).toBeGreaterThan(2);
  expect(sentMetadata().at(-1)).toEqual({ a: 'b', hooks: 'off' });
});

it('repeated notices of a removal count once for each line, and are logged with their own reasons', async () => {
  const { time, log, link, session } = world();
  session.start(endpoints);
  await time.advanceBy(0);
  for (let i = 0; i < 1_000; i += 1)
    session.gone({ code: 'OPERATOR', text: `nr ${i} \u001b[2J\n${'x'.repeat(1_900)}` });
  expect(log.texts('warn')).toHaveLength(1);
  expect(log.texts('warn')[0]).toMatch(/: nr 0 \?\[2J\?x{300,400}…$/);
  await time.advanceBy(10);
  expect(link.beats).toHaveLength(1);
  for (let i = 0; i < 5; i += 1) {
    await time.advanceBy(5_000);
    expect(session.proof()).not.toBeNull();
    session.gone({ code: 'OPERATOR', text: `nr ${i}` });
  }
  expect(log.texts('warn')).toHaveLength(1);
});

it('varying texts of the same refusal, and alternating refusals, are not logged again', async () => {
  const { time, log, link, session } = world();
  session.start(endpoints);
  await time.advanceBy(0);
  let times = 0;
  link.onBeat = () => {
    const problem = problemOf(times % 3 === 0 ? 'FORBIDDEN' : 'INVALID');
    return { ok: false, problem: { ...problem, detail: `nr ${(times += 1)}` } };
  };
  await time.advanceBy(59_000);
  expect(times).toBeGreaterThan(10);
  expect(log.texts('error')).toHaveLength(2);
});

it('logs once why it was removed if only a heartbeat reports it, and that it registers again', async () => {
  const { time, log, link, session } = world();
  session.start(endpoints);
  await time.advanceBy(0);
  const reason = { code: 'SILENT' as const, text: 'it neither answers Heartbeat-1 nor sends Heartbeat-2' };
  link.onBeat = () =>
    link.registrations.length > 1
      ? { ok: true, value: { state: 'HEALTHY', revision: 3 } }
      : { ok: false, problem: { ...problemOf('NOT_FOUND'), reason } };
  session.gone(reason);
  await time.advanceBy(10_000);
  expect(log.texts('warn')).toEqual([
    expect.stringMatching(
      /^The registry removed orders…\w+: it neither answers .* It registers again with its next heartbeat\.$/,
    ),
  ]);
  expect(link.registrations).toHaveLength(2);
});
