import { isCertificateId, mayServe } from '../access/permissions.js';
import { refuse } from '../access/refusals.js';
import { isSecretOf } from '../instances/credential.js';
import type { Entry, InstanceTable } from '../instances/instance-table.js';
import type { Outcome, Proof } from '../registry-api.js';

/** The entry of an id, or the refusal. */
export function known(table: InstanceTable, id: string): Outcome<Entry> {
  const entry = table.get(id);
  if (entry !== undefined) return { ok: true, value: entry };
  const tombstone = table.tombstone(id);
  if (tombstone?.ended === true) return refuse('ENDED', `${id} was ended: ${tombstone.reason.text}.`);
  const unknown = refuse('NOT_FOUND', `No instance ${id} is registered.`);
  if (unknown.ok || tombstone === undefined) return unknown;
  return { ok: false, problem: { ...unknown.problem, reason: tombstone.reason } };
}

/** Checks whether an access token, by its id, is valid now. */
export interface TokenCheck {
  isValid(id: string | null): boolean;
}

/**
 * Why an instance with the right secret may not act: the token of its registration is not valid any more, or there was
 * none, and the request has no certificate for its service either. Null: it may. The secret of an instance is worth as
 * much as that token; a certificate is shown with each connection, so any one for the service will do.
 */
export function lapsed(
  { id, token, record }: Entry,
  tokens: TokenCheck | undefined,
  proof: Proof,
): Outcome<never> | null {
  if (tokens === undefined || tokens.isValid(token)) return null;
  const grant = typeof proof === 'object' ? proof?.grant : undefined;
  if (grant !== undefined && mayServe(grant, record.namespace, record.service)) return null;
  return refuse('TOKEN_LAPSED', `${id} ${lapseText(token, record.service, grant?.id)}.`);
}

function lapseText(token: string | null, service: string, shown: string | undefined): string {
  if (token === null) return 'was registered without a token';
  if (!isCertificateId(token)) return `was registered with token ${token}, which is no longer valid`;
  const what = shown === undefined ? 'without any' : `with ${shown}, which is not for ${service}`;
  return `was registered with certificate ${token}, and this request came ${what}`;
}

/** The refusal if the secret does not identify its bearer as this instance; null: it does, or the id is unknown. */
export function impostor(table: InstanceTable, id: string, proof: Proof): Outcome<never> | null {
  const secret = typeof proof === 'object' && proof !== null ? proof.secret : proof;
  const tombstone = table.tombstone(id);
  const owner = table.get(id)?.credential ?? tombstone;
  if (owner !== undefined && !isSecretOf(owner, secret)) {
    return refuse(
      'UNAUTHORIZED',
      secret === null ? 'This request needs the secret of the instance.' : 'That is not its secret.',
    );
  }
  const { code, text } = tombstone?.reason ?? {};
  return code === 'ADDRESS_TAKEN' && text !== undefined
    ? refuse(code, `This instance was taken off the record: ${text}.`)
    : null;
}
