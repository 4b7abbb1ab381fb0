/** True for an http or https URL without user, password, query and fragment: the way to name a registry. */
export function isRegistryUrl(received: unknown): received is string {
  if (typeof received !== 'string' || !URL.canParse(received)) return false;
  const { protocol, username, password, search, hash } = new URL(received);
  return (protocol === 'http:' || protocol === 'https:') && username + password + search + hash === '';
}

/** The `option.string` settings of an access token that is passed in. */
export const ACCESS_TOKEN = {
  pattern: /^[\x21-\x7e]{1,512}$/,
  allowed: 'one word, as `rollcall token create` prints it, with no blank or line break before, in or behind it',
  secret: true,
} as const;
