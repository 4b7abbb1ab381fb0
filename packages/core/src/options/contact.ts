/** True for an http or https URL without user, password, query and fragment, as the address of a registry. */
export function isRegistryUrl(received: unknown): received is string {
  if (typeof received !== 'string' || !URL.canParse(received)) return false;
  const { protocol, username, password, search, hash } = new URL(received);
  return (protocol === 'http:' || protocol === 'https:') && username + password + search + hash === '';
}

/** The settings of a string option for an access token. */
export const ACCESS_TOKEN = {
  pattern: /^[\x21-\x7e]{1,512}$/,
  allowed: 'one word, as `rollcall token create` prints it, with no blank or line break before, in or behind it',
  secret: true,
} as const;
