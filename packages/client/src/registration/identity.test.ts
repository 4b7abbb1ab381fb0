import { createHmac } from 'node:crypto';
import { CALL_KEY_TEXT, ID_PATTERN, SECRET_PATTERN, signedText } from '@rollcall/core';
import type { HeartbeatCall } from '@rollcall/core';
import { ManualTime, seededRandom } from '@rollcall/core/testing';
import { describe, expect, it } from 'vitest';
import { Identity } from './identity.js';

function setUp(): { identity: Identity; calls: boolean[] } {
  const calls: boolean[] = [];
  const parts = { time: new ManualTime(), random: seededRandom(1), service: 'orders' };
  return { calls, identity: new Identity({ ...parts, called: (isUrgent) => void calls.push(isUrgent) }) };
}

/** A call as made by the registry that has the key of the instance. */
function callOf(identity: Identity, fields: Partial<HeartbeatCall> = {}): HeartbeatCall {
  const call = {
    replica: 'replica-1',
    instance: identity.id,
    nonce: 'nonce-0001',
    purpose: 'beat' as const,
    ...fields,
  };
  const callKey = createHmac('sha256', identity.proof().secret).update(CALL_KEY_TEXT).digest();
  return { ...call, mac: fields.mac ?? createHmac('sha256', callKey).update(signedText(call)).digest('hex') };
}

describe('Identity', () => {
  it('generates an id that contains its service, and a secret', () => {
    const { identity } = setUp();
    expect(identity.id).toMatch(/^orders-[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/);
    expect(identity.id).toMatch(ID_PATTERN);
    expect(identity.proof()).toEqual({ id: identity.id, secret: expect.stringMatching(SECRET_PATTERN) });
  });

  it('differs in every process', () => {
    const parts = { time: new ManualTime(), random: seededRandom(1), service: 'orders', called: () => {} };
    expect(new Identity(parts).id).not.toBe(new Identity(parts).id);
  });

  it('answers an authentic call and remembers its nonce', () => {
    const { identity, calls } = setUp();
    expect(identity.answer(callOf(identity))).toEqual({ instance: identity.id, nonce: 'nonce-0001' });
    expect(identity.nonce).toBe('nonce-0001');
    expect(calls).toEqual([false]);
  });

  it('keeps the latest nonce, and reports an urgent call', () => {
    const { identity, calls } = setUp();
    identity.answer(callOf(identity));
    identity.answer(callOf(identity, { nonce: 'nonce-0002', purpose: 'urgent' }));
    expect(identity.nonce).toBe('nonce-0002');
    expect(calls).toEqual([false, true]);
  });

  it('accepts a call once, though it arrives at each endpoint and is replayed later', () => {
    const { identity, calls } = setUp();
    const first = callOf(identity, { purpose: 'urgent' });
    identity.answer(first);
    identity.answer(first);
    identity.answer(callOf(identity, { nonce: 'nonce-0002' }));
    expect(identity.answer(first)).toEqual({ instance: identity.id, nonce: 'nonce-0001' });
    expect(identity.nonce).toBe('nonce-0002');
    expect(calls).toEqual([true, false]);
  });

  it.each<[string, Partial<HeartbeatCall>]>([
    ['with the purpose opinion', { purpose: 'opinion' }],
    ['with the mac of another call', { mac: 'a'.repeat(64) }],
    ['for another instance', { instance: 'orders-2' }],
    ['in an invalid format', { nonce: 'short' }],
  ])('ignores a call %s', (_what, fields) => {
    const { identity, calls } = setUp();
    expect(identity.answer(callOf(identity, fields)).instance).toBe(identity.id);
    expect(identity.nonce).toBeNull();
    expect(calls).toEqual([]);
  });

  it('answers an unauthenticated caller with its own id and the given nonce', () => {
    const { identity } = setUp();
    expect(identity.answer({ nonce: 'nonce-of-stranger' })).toEqual({
      instance: identity.id,
      nonce: 'nonce-of-stranger',
    });
  });

  it.each([[{}], [null], ['text'], [undefined], [{ nonce: 7 }], [{ nonce: '<script>' }]])(
    'answers %j with its own id and no nonce',
    (question) => {
      const { identity } = setUp();
      expect(identity.answer(question)).toEqual({ instance: identity.id, nonce: null });
    },
  );
});
