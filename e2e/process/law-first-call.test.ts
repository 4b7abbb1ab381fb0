import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PROTOCOLS } from './law-caller.js';
import { startLawFixture } from './law-fixture.js';
import type { LawFixture } from './law-fixture.js';
import { endAll } from './spawn.js';

const TRIES = 20;

describe('the first call', () => {
  let fixture: LawFixture;

  beforeAll(async () => {
    fixture = await startLawFixture(0);
  }, 60_000);
  afterAll(async () => {
    await fixture.close();
    await endAll();
  });

  it('is answered as soon as the service listens', async () => {
    const services = Array.from({ length: TRIES }, (_, turn) => `first-${turn}`);
    const child = fixture.startServices(services.join(), { FIRST_CALLS: '1' });
    const results = await Promise.all(services.map((service) => child.line(new RegExp(`^first ${service}:`))));
    const failed = PROTOCOLS.flatMap((over) => {
      const outcomes = results.map((line) => new RegExp(`${over} (\\S+) (\\d+)`).exec(line) ?? []);
      const codes = outcomes.map(([, code = '']) => code).filter((code) => code !== 'answered');
      const slowest = Math.max(...outcomes.map(([, , ms]) => Number(ms)));
      console.log(`LAW first-call ${over} calls=${TRIES} failed={${codes.join()}} slowest_ms=${slowest}`);
      return codes;
    });
    expect(failed).toEqual([]);
  });

  it('keeps neither of two services from starting that make it to each other during their start', async () => {
    const [one, other] = [
      fixture.startServices('one', { PEER: 'other' }),
      fixture.startServices('other', { PEER: 'one' }),
    ];
    const results = await Promise.all([one.line(/^other /), other.line(/^one /)]);
    console.log(`LAW calls-in-onModuleInit tcp one_to_${results.join('ms other_to_')}ms`);
    await Promise.all([one.line(/^listening/), other.line(/^listening/)]);
  });

  it('is answered by a service that listens soon after, when another makes it during its start', async () => {
    const callee = fixture.startServices('callee', { HOLD: '1' });
    await callee.line(/^waiting$/);
    const caller = fixture.startServices('caller', { PEER: 'callee' });
    await caller.line(/^calling$/);
    callee.kill('SIGHUP');
    const result = await caller.line(/^callee /);
    console.log(`LAW call-in-onModuleInit tcp caller_to_${result}ms`);
    await callee.line(/^listening/);
    expect(result).toMatch(/^callee answered/);
  });
});
