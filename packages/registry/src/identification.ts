import { isSecretOf } from './credential.js';
import type { Outcome } from './face.js';
import { refuse } from './refusal.js';
import type { Entry, Roster } from './roster.js';

/** The entry of an id, or why there is none. */
export function known(roster: Roster, id: string): Outcome<Entry> {
  const entry = roster.get(id);
  if (entry !== undefined) return { ok: true, value: entry };
  const tombstone = roster.tombstone(id);
  if (tombstone?.ended === true) return refuse('ENDED', `${id} was ended: ${tombstone.reason.text}.`);
  return refuse('NOT_FOUND', `No instance ${id} is registered.`);
}

/** Knows whether an access token, by its id, is valid now. */
export interface TokenCheck {
  isValid(id: string | null): boolean;
}

/**
 * Why an instance that has proved itself may not act all the same: the token with which it registered is no longer valid, or there was
 * none. Null: it may. The secret of an instance is worth what that token is worth.
 */
export function lapsed({ id, token }: Entry, tokens: TokenCheck | undefined): Outcome<never> | null {
  if (tokens === undefined || tokens.isValid(token)) return null;
  const why =
    token === null ? 'was registered without a token' : `was registered with token ${token}, which is no longer valid`;
  return refuse('TOKEN_LAPSED', `${id} ${why}.`);
}

/** Why the secret does not make its bearer this instance; null: it does, or nobody knows of any. */
export function impostor(roster: Roster, id: string, secret: string | null): Outcome<never> | null {
  const tombstone = roster.tombstone(id);
  const owner = roster.get(id)?.credential ?? tombstone;
  if (owner !== undefined && !isSecretOf(owner, secret)) {
    return refuse(
      'UNAUTHORIZED',
      secret === null ? 'This needs the secret of the instance.' : 'That is not its secret.',
    );
  }
  const { code, text } = tombstone?.reason ?? {};
  return code === 'ADDRESS_TAKEN' && text !== undefined ? refuse(code, text) : null;
}
