import { createHmac } from 'node:crypto';
import { CALL_KEY_TEXT, signedText } from '@rollcall/core';
import type { HeartbeatCall, Purpose } from '@rollcall/core';
import { ManualTime, recordingLog, seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { Contact } from '../registry-client/connection-status.js';
import { problemOf, FakeLink } from '../registry-client/registry-client.fixture.js';
import { ServiceRegistration } from './registration.js';

const self = {
  service: 'orders',
  namespace: 'shop',
  version: '1.0.0',
  zone: 'eu-1a',
  weight: 50,
  metadata: { a: 'b' },
};
const endpoints = [{ protocol: 'tcp' as const, port: 3001 }];
const refused = (code: Parameters<typeof problemOf>[0]) => () => ({ ok: false as const, problem: problemOf(code) });
const taken = () => ({ ok: true as const, value: null });

class World {
  readonly time = new ManualTime();
  readonly log = recordingLog();
  readonly link = new FakeLink();
  readonly contact = new Contact(this.log, this.link.name);
  /** For each change of the line, whether a line was to be opened. */
  readonly lines: boolean[] = [];
  readonly session: ServiceRegistration;

  constructor(seed = 1) {
    const { time, log, link, contact } = this;
    this.session = new ServiceRegistration({
      time,
      random: seededRandom(seed),
      log,
      link,
      contact,
      self,
      intervalMs: 5_000,
      lineChanged: () => this.lines.push(this.session.proof() !== null),
      edges: () => [],
    });
  }

  /** A registration that has succeeded and sent its first beats. */
  async member(): Promise<this> {
    this.session.start(endpoints);
    await this.time.advanceBy(0);
    return this;
  }

  call(nonce: string, purpose: Purpose = 'beat'): HeartbeatCall {
    const call = { replica: 'replica-1', instance: this.session.id, nonce, purpose };
    const callKey = createHmac('sha256', this.link.registrations[0]?.secret ?? '')
      .update(CALL_KEY_TEXT)
      .digest();
    return { ...call, mac: createHmac('sha256', callKey).update(signedText(call)).digest('hex') };
  }
}

describe('ServiceRegistration, registering', () => {
  it('sends nothing before it is started', async () => {
    const { time, link, session } = new World();
    await time.advanceBy(60_000);
    expect(session.answer({})).toEqual({ instance: session.id, nonce: null });
    expect(link.registrations).toEqual([]);
    expect(time.pending()).toEqual({ foreground: 0, background: 0 });
  });

  it('registers its identity and endpoints, and adopts the terms of the registry', async () => {
    const world = new World();
    Object.assign(world.link, { intervalMs: 1_000, freshEvery: 2 });
    const { session, link } = await world.member();
    expect(link.registrations).toEqual([{ ...self, id: session.id, secret: expect.any(String), endpoints }]);
    expect(session.intervalMs).toBe(1_000);
    expect(session.proof()).toMatchObject({ id: session.id });
    expect(world.lines).toEqual([true]);
    await world.time.advanceBy(4_000);
    expect(link.fresh).toEqual([true, false, true, false]);
  });

  it('keeps trying while the registry is unreachable, logs that once, and registers when it answers', async () => {
    const world = new World();
    const { time, link, log } = world;
    link.onRegister = () => 'unreachable';
    await world.member();
    await time.advanceBy(600_000);
    expect(log.texts('warn')).toHaveLength(1);
    expect(log.texts('warn')[0]).toMatch(/^no registry at/);
    // about one attempt in 2 s, not a tight loop
    expect(link.registrations.length).toBeLessThan(600);
    link.onRegister = taken;
    await time.advanceBy(4_000);
    expect(world.session.proof()).not.toBeNull();
    expect(new Set(link.registrations.map(({ id, secret }) => `${id} ${secret}`)).size).toBe(1);
  });

  it('retries after at least 30 s if the registry refuses it, and logs why once', async () => {
    const world = new World();
    const { time, link, log } = world;
    const flaws = [{ path: 'endpoints[0].port', received: '0', allowed: 'integer 1 … 65535' }];
    link.onRegister = () => ({ ok: false, problem: { ...problemOf('INVALID'), flaws } });
    await world.member();
    await time.advanceBy(29_999);
    expect(link.registrations).toHaveLength(1);
    await time.advanceBy(5_001);
    expect(link.registrations).toHaveLength(2);
    expect(log.texts('error')).toHaveLength(1);
    expect(log.texts('error')[0]).toContain('endpoints[0].port: received 0, allowed is integer 1 … 65535.');
  });

  const soon = [['NOT_READY', 0] as const, ['TOO_MANY', 1] as const];
  it.each(soon)('retries soon after %s, but not before the requested time', async (code, complaints) => {
    const world = new World();
    const { time, link, log } = world;
    link.onRegister = () => ({ ok: false, problem: { ...problemOf(code), retryAfterMs: 1_000 } });
    await world.member();
    await time.advanceBy(999);
    expect(link.registrations).toHaveLength(1);
    link.onRegister = taken;
    await time.advanceBy(1_000);
    expect(world.session.proof()).not.toBeNull();
    expect(log.texts('error')).toHaveLength(complaints);
  });

  it('never registers again once the registry has ended this id', async () => {
    const world = new World();
    world.link.onRegister = refused('ENDED');
    await world.member();
    await world.time.advanceBy(3_600_000);
    expect(world.link.registrations).toHaveLength(1);
    expect(world.log.texts('error')).toHaveLength(1);
    expect(world.time.pending()).toEqual({ foreground: 0, background: 0 });
  });
});

describe('ServiceRegistration, Heartbeat-2', () => {
  it('spreads the first beats of a fleet over the interval', async () => {
    const times: number[] = [];
    for (let seed = 1; seed <= 40; seed += 1) {
      const { time, link } = await new World(seed).member();
      while (link.beats.length === 0) await time.advanceBy(100);
      times.push(time.now());
    }
    expect(Math.min(...times)).toBeLessThan(1_000);
    expect(Math.max(...times)).toBeGreaterThan(4_000);
  });

  it('sends a beat at once after the first and after an urgent call, but not inside the answer', async () => {
    const world = await new World().member();
    const { time, link, session } = world;
    session.answer(world.call('nonce-0001'));
    expect(link.beats).toEqual([]);
    await time.advanceBy(1);
    expect(link.beats).toEqual([{ nonce: 'nonce-0001', seq: 1 }]);
    session.answer(world.call('nonce-0002', 'urgent'));
    await time.advanceBy(1);
    expect(link.beats[1]).toEqual({ nonce: 'nonce-0002', seq: 2 });
  });

  it('quotes the nonce of an ordinary call in its next regular beat', async () => {
    const world = await new World().member();
    const { time, link, session } = world;
    session.answer(world.call('nonce-0001'));
    await time.advanceBy(5_000);
    const before = link.beats.length;
    session.answer(world.call('nonce-0002'));
    await time.advanceBy(1);
    expect(link.beats).toHaveLength(before);
    await time.advanceBy(4_999);
    expect(link.beats.at(-1)!.nonce).toBe('nonce-0002');
  });

  it('sends a beat as soon as it is registered if the first call arrived before the answer', async () => {
    const world = new World();
    world.link.onRegister = () => {
      world.session.answer(world.call('nonce-0001', 'urgent'));
      return { ok: true, value: null };
    };
    const { time, link } = await world.member();
    await time.advanceBy(1);
    expect(link.beats).toEqual([{ nonce: 'nonce-0001', seq: 1 }]);
  });

  it('sends a beat at once when its line opens or ends, without moving its regular beats', async () => {
    const quiet = await new World(7).member();
    const busy = await new World(7).member();
    busy.session.opened();
    await busy.time.advanceBy(1);
    expect(busy.link.beats).toHaveLength(1);
    busy.session.ended();
    await busy.time.advanceBy(1);
    expect(busy.link.beats).toHaveLength(2);
    await busy.time.advanceBy(14_998);
    await quiet.time.advanceBy(15_000);
    expect(busy.link.beats).toHaveLength(quiet.link.beats.length + 2);
  });

  it('logs its state in the registry when that changes', async () => {
    const { time, log, session } = await new World().member();
    await time.advanceBy(20_000);
    expect(session.state).toBe('HEALTHY');
    expect(log.texts('info').filter((text) => text.endsWith('is HEALTHY.'))).toHaveLength(1);
  });
});

describe('ServiceRegistration, forgotten or refused by the registry', () => {
  it('registers again with the same id and secret after a 404 to a regular beat', async () => {
    const world = await new World().member();
    const { time, link, session } = world;
    link.onBeat = () => {
      link.onBeat = () => ({ ok: true, value: { state: 'HEALTHY', revision: 2 } });
      return { ok: false, problem: problemOf('NOT_FOUND') };
    };
    await time.advanceBy(5_000);
    expect(link.registrations).toHaveLength(2);
    expect(link.registrations[1]).toEqual(link.registrations[0]);
    expect(world.lines).toEqual([true, false, true]);
    await time.advanceBy(5_000);
    expect(session.state).toBe('HEALTHY');
  });

  it('requests another line after it has registered again', async () => {
    const { time, link, session } = await new World().member();
    const line = session.proof();
    link.onBeat = refused('NOT_FOUND');
    await time.advanceBy(5_000);
    expect(session.proof()).toEqual(line);
    expect(session.proof()).not.toBe(line);
  });

  it('defers a 404 to an extra beat to the next regular one, so that a fleet does not register at once', async () => {
    const { time, link, session } = await new World(3).member();
    const firstRegular = time.nextAt() ?? 0;
    link.onBeat = refused('NOT_FOUND');
    session.ended();
    await time.advanceBy(firstRegular - 1);
    expect(link.beats).toHaveLength(1);
    expect(link.registrations).toHaveLength(1);
    await time.advanceBy(1);
    expect(link.registrations).toHaveLength(2);
  });

  it('registers no faster than with jitter if each registration is forgotten at once', async () => {
    const { time, link } = await new World().member();
    link.onBeat = refused('NOT_FOUND');
    await time.advanceBy(300_000);
    expect(link.registrations.length).toBeLessThan(120);
  });

  it('logs why another process has its address, and retries after at least 30 s', async () => {
    const world = await new World().member();
    const { time, link, log } = world;
    link.onBeat = refused('ADDRESS_TAKEN');
    await time.advanceBy(5_000);
    expect(log.texts('error')).toHaveLength(1);
    expect(world.lines).toEqual([true, false]);
    const { length } = link.beats;
    await time.advanceBy(24_999);
    expect(link.beats).toHaveLength(length);
    expect(link.registrations).toHaveLength(1);
    link.onBeat = () => ({ ok: true, value: { state: 'HEALTHY', revision: 9 } });
    await time.advanceBy(15_000);
    expect(link.registrations).toHaveLength(2);
    expect(world.session.state).toBe('HEALTHY');
  });

  it('stops permanently after a 410', async () => {
    const { time, link, log, session } = await new World().member();
    link.onBeat = refused('ENDED');
    await time.advanceBy(3_600_000);
    expect(link.beats).toHaveLength(1);
    expect(link.registrations).toHaveLength(1);
    expect(log.texts('error')).toHaveLength(1);
    expect(session.proof()).toBeNull();
    expect(time.pending()).toEqual({ foreground: 0, background: 0 });
  });

  it('keeps sending heartbeats after a refusal of the beat itself, and logs why once', async () => {
    const { time, link, log, session } = await new World().member();
    link.onBeat = refused('INVALID');
    await time.advanceBy(20_000);
    expect(link.beats).toHaveLength(4);
    expect(session.proof()).not.toBeNull();
    expect(log.texts('error')).toHaveLength(1);
  });

  it('continues after a refusal that does not affect it', async () => {
    const { time, link, session } = await new World().member();
    link.onBeat = refused('NOT_READY');
    await time.advanceBy(20_000);
    expect(link.beats).toHaveLength(4);
    expect(session.proof()).not.toBeNull();
  });

  it('drops a refused line, and requests it again once a beat is accepted', async () => {
    const world = await new World().member();
    world.session.refused(problemOf('NOT_FOUND'));
    expect(world.session.proof()).toBeNull();
    await world.time.advanceBy(5_000);
    expect(world.lines).toEqual([true, false, true]);
    expect(world.link.registrations).toHaveLength(1);
  });

  it('sends a beat at once when the line reports its removal, and reacts to the answer', async () => {
    const world = await new World().member();
    const { time, link, session, log } = world;
    link.onBeat = refused('ENDED');
    session.gone({ code: 'OPERATOR', text: 'removed by an operator' });
    await time.advanceBy(1);
    expect(log.texts('warn')[0]).toContain('removed by an operator');
    expect(link.beats).toHaveLength(1);
    expect(log.texts('error')).toHaveLength(1);
  });
});

describe('ServiceRegistration, leaving', () => {
  it('announces the drain, returns the number of watchers, and keeps sending heartbeats and answering', async () => {
    const { time, link, session } = await new World().member();
    await expect(session.drain(10_000)).resolves.toBe(2);
    expect(link.drains).toEqual([{ deadlineMs: 10_000 }]);
    await time.advanceBy(10_000);
    expect(link.beats).toHaveLength(2);
    expect(session.proof()).not.toBeNull();
  });

  it('never registers again once it drains, after any answer', async () => {
    const { time, link, session } = await new World().member();
    await session.drain(10_000);
    link.onBeat = refused('NOT_FOUND');
    await time.advanceBy(60_000);
    expect(link.registrations).toHaveLength(1);
  });

  it('sends the drain once more if it got no answer, and then logs the failure', async () => {
    const { time, link, log, session } = await new World().member();
    link.onDrain = () => 'unreachable';
    const drained = session.drain(10_000);
    await time.advanceBy(100);
    await expect(drained).resolves.toBeNull();
    expect(link.drains).toHaveLength(2);
    expect(log.texts('warn')).toHaveLength(1);
  });

  it('waits for a registration in progress before it drains', async () => {
    const { link, session, time } = new World();
    session.start(endpoints);
    const drained = session.drain(10_000);
    await time.advanceBy(0);
    await expect(drained).resolves.toBe(2);
    expect(link.drains).toHaveLength(1);
  });

  it('sends no drain if it is not registered', async () => {
    await expect(new World().session.drain(10_000)).resolves.toBe(0);
    const world = new World();
    world.link.onRegister = () => 'unreachable';
    await world.member();
    await expect(world.session.drain(10_000)).resolves.toBe(0);
    await world.time.advanceBy(60_000);
    expect(world.link.registrations).toHaveLength(1);
    expect(world.link.drains).toEqual([]);
  });

  it('deregisters once, and sends nothing after that', async () => {
    const { time, link, session } = await new World().member();
    await Promise.all([session.leave(), session.leave()]);
    expect(link.goodbyes).toHaveLength(1);
    session.ended();
    session.gone({ code: 'GOODBYE', text: 'left' });
    await time.advanceBy(60_000);
    expect(link.beats).toEqual([]);
    expect(time.pending()).toEqual({ foreground: 0, background: 0 });
  });

  it('ends even if the goodbye gets no answer', async () => {
    const { link, session } = await new World().member();
    link.onLeave = () => 'unreachable';
    await expect(session.leave()).resolves.toBeUndefined();
  });

  it('leaves no timer if it is closed while a registration fails', async () => {
    const { link, session, time } = new World();
    link.onRegister = () => 'unreachable';
    session.start(endpoints);
    await session.leave();
    expect(link.goodbyes).toEqual([]);
    expect(time.pending()).toEqual({ foreground: 0, background: 0 });
  });

  it('deregisters after a registration that was in progress', async () => {
    const { link, session, time } = new World();
    session.start(endpoints);
    await session.leave();
    expect(link.goodbyes).toHaveLength(1);
    await time.advanceBy(60_000);
    expect(link.beats).toEqual([]);
  });
});
