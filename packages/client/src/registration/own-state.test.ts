import type { BeatAnswer } from '@rollcall/core';
import { recordingLog } from '@rollcall/core/testing';
import { expect, it } from 'vitest';
import { OwnState } from './own-state.js';

const HEALTHY: BeatAnswer = { state: 'HEALTHY', revision: 1 };
const UNHEALTHY: BeatAnswer = {
  state: 'UNHEALTHY',
  revision: 2,
  reason: { code: 'INBOUND_SILENT', text: 'it does not answer Heartbeat-1: no answer within 2000 ms' },
  next: { state: 'CRITICAL', afterMs: 7_200, unless: 'HEARTBEAT_1' },
};
const CRITICAL: BeatAnswer = {
  state: 'CRITICAL',
  revision: 3,
  reason: { code: 'SILENT', text: 'it neither answers\nHeartbeat-1 nor sends Heartbeat-2' },
  next: { state: 'DEREGISTERING', afterMs: 300, unless: 'HEARTBEAT_2' },
};

function world() {
  const log = recordingLog();
  return { log, own: new OwnState(log, 'orders…1e07') };
}

it('logs at WARN why the instance is not HEALTHY, and the next state', () => {
  const { log, own } = world();
  for (const answer of [HEALTHY, UNHEALTHY, CRITICAL]) own.update(answer);
  expect(own.state).toBe('CRITICAL');
  expect(log.texts('warn')).toEqual([
    'orders…1e07 is UNHEALTHY (was HEALTHY): it does not answer Heartbeat-1: no answer within 2000 ms. Next: CRITICAL in 8 s, unless it answers Heartbeat-1.',
    'orders…1e07 is CRITICAL (was UNHEALTHY): it neither answers?Heartbeat-1 nor sends Heartbeat-2. Next: DEREGISTERING in 1 s, unless it sends Heartbeat-2.',
  ]);
});

it('logs at INFO that the instance is HEALTHY again', () => {
  const { log, own } = world();
  for (const answer of [HEALTHY, UNHEALTHY, HEALTHY, HEALTHY]) own.update(answer);
  expect(log.texts('info')).toEqual(['orders…1e07 is HEALTHY.', 'orders…1e07 is HEALTHY again.']);
});

it('logs each change once, and another reason for the same state once', () => {
  const { log, own } = world();
  const other: BeatAnswer = { ...UNHEALTHY, reason: { code: 'OUTBOUND_SILENT', text: 'another' }, next: null };
  for (let i = 0; i < 10; i += 1) for (const answer of [UNHEALTHY, other]) own.update(answer);
  expect(log.texts('warn')).toHaveLength(2);
  expect(log.texts('warn')[1]).toBe('orders…1e07 is UNHEALTHY: another.');
});

it('does not warn about states that it requested itself, nor about the first state', () => {
  const { log, own } = world();
  own.update({ state: 'REGISTERING', revision: 1, reason: { code: 'NEW', text: 'registered' }, next: null });
  own.update({
    state: 'DEREGISTERING',
    revision: 2,
    reason: { code: 'LEAVING', text: 'it deregistered itself' },
    next: null,
  });
  expect(log.texts('warn')).toEqual([]);
  expect(log.texts('info')).toEqual([
    'orders…1e07 is REGISTERING.',
    'orders…1e07 is DEREGISTERING: it deregistered itself.',
  ]);
});

it('logs the state if the registry gives no reason', () => {
  const { log, own } = world();
  own.update({ state: 'CRITICAL', revision: 1 });
  expect(log.texts('warn')).toEqual(['orders…1e07 is CRITICAL.']);
});

it('limits its memory if the registry keeps sending new reasons', () => {
  const { log, own } = world();
  for (let i = 0; i < 1_000; i += 1) {
    own.update({ ...UNHEALTHY, reason: { code: `NR_${i}` as 'SILENT', text: 'x'.repeat(2_000) } });
  }
  expect(log.texts('warn').length).toBeLessThan(12);
  expect(log.texts('warn')[0]?.length).toBeLessThan(600);
});
