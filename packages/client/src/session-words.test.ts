import { ManualTime, recordingLog, seededRandom } from '@rollcall/core/testing';
import { expect, it } from 'vitest';
import { Contact } from './contact.js';
import { aProblem, FakeLink } from './link/link.fixture.js';
import { Session } from './session.js';

const endpoints = [{ protocol: 'tcp' as const, port: 3001 }];
const self = { service: 'orders', namespace: 'shop', version: '', zone: '', weight: 50, metadata: { a: 'b' } };

function world() {
  const [time, log, link] = [new ManualTime(), recordingLog(), new FakeLink()];
  const contact = new Contact(log, link.name);
  const random = seededRandom(1);
  const parts = { time, random, log, link, contact, self, intervalMs: 5_000, lineChanged: () => {}, edges: () => [] };
  const said = () => link.registrations.map(({ metadata }) => metadata);
  return { time, link, session: new Session(parts), said };
}

it('what a process says of itself before it registers goes with its registration', async () => {
  const { time, session, said } = world();
  session.say({ hooks: 'off' });
  await time.advanceBy(1_000);
  expect(said()).toEqual([]);
  session.start(endpoints);
  await time.advanceBy(0);
  expect(said()).toEqual([{ a: 'b', hooks: 'off' }]);
});

it('what it says later goes with another registration at once, and with each that follows', async () => {
  const { time, link, session, said } = world();
  session.start(endpoints);
  await time.advanceBy(0);
  session.say({ hooks: 'off' });
  await time.advanceBy(0);
  expect(said()).toEqual([{ a: 'b' }, { a: 'b', hooks: 'off' }]);
  link.onBeat = () => ({ ok: false, problem: aProblem('NOT_FOUND') });
  await time.advanceBy(10_000);
  expect(said().length).toBeGreaterThan(2);
  expect(said().at(-1)).toEqual({ a: 'b', hooks: 'off' });
});
