import { createHmac, hash, timingSafeEqual } from 'node:crypto';
import { CALL_KEY_TEXT, signedText } from '@rollcall/core';
import type { HeartbeatCall } from '@rollcall/core';

/**
 * The derived secrets of an instance: enough to verify its secret and to sign calls to it, without the secret itself.
 */
export interface Credential {
  /** SHA-256 of the secret, lower-case hex. */
  readonly secretHash: string;
  /** HMAC-SHA256(secret, "rollcall-call"), lower-case hex of its 32 bytes. */
  readonly callKey: string;
}

export function credentialOf(secret: string): Credential {
  return {
    secretHash: hash('sha256', secret),
    callKey: createHmac('sha256', secret).update(CALL_KEY_TEXT).digest('hex'),
  };
}

/** Compares in constant time; null never matches. */
export function isSecretOf(credential: Pick<Credential, 'secretHash'>, secret: string | null): boolean {
  if (secret === null) return false;
  // in one call: a Hash object costs several times the hashing, and every heartbeat needs it
  return timingSafeEqual(Buffer.from(hash('sha256', secret)), Buffer.from(credential.secretHash));
}

/** Signs a Heartbeat-1, so that a third party cannot steer or confuse the instance's own heartbeats. */
export function signCall(credential: Pick<Credential, 'callKey'>, call: Omit<HeartbeatCall, 'mac'>): HeartbeatCall {
  const mac = createHmac('sha256', Buffer.from(credential.callKey, 'hex')).update(signedText(call)).digest('hex');
  return { ...call, mac };
}
