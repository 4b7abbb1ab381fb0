import { systemRandom } from '@rollcall/core';
import { changeTokens, drawToken } from '@rollcall/registry/tokens';
import type { TokenRequest } from '@rollcall/registry/tokens';

const DEFAULTS: TokenRequest = { role: 'service', services: ['orders'], note: '', expiresAt: null };

/** Adds a token to a token file; defaults: for the service `orders`, without expiry, not revoked. Returns its text. */
export async function addToken(path: string, overrides: Partial<TokenRequest> = {}, revokedAt: number | null = null) {
  const { token, record } = drawToken(systemRandom, { ...DEFAULTS, ...overrides }, 1);
  await changeTokens(path, (records) => [...records, { ...record, revokedAt }]);
  return { token, record };
}
