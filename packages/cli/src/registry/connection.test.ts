import { describe, expect, it } from 'vitest';
import { apiOf, resolveConnection } from './connection.js';
import type { ConnectionFlags } from './connection.js';
import { RegistryApi } from './registry-api.js';

const flags = (given: Partial<ConnectionFlags> = {}): ConnectionFlags => ({
  '--url': undefined,
  '--ca-file': undefined,
  '--cert-file': undefined,
  '--key-file': undefined,
  ...given,
});

describe('the registry of a command', () => {
  it('comes from the flag, else from the environment, else from this machine', async () => {
    const env = { ROLLCALL_URL: 'http://env:1' };
    expect((await apiOf(flags({ '--url': 'http://flag:2' }), env)).url).toBe('http://flag:2');
    expect((await apiOf(flags(), env)).url).toBe('http://env:1');
    expect((await apiOf(flags(), { ROLLCALL_URL: '' })).url).toBe('http://127.0.0.1:1337');
  });

  it('asks the first of several, and keeps the others', async () => {
    const list = { ROLLCALL_URL: 'http://registry-a:1, https://registry-b:1/x' };
    expect((await apiOf(flags(), list)).url).toBe('http://registry-a:1');
    expect(resolveConnection(flags(), list)).toMatchObject({
      url: 'http://registry-a:1',
      otherUrls: ['https://registry-b:1/x'],
    });
    expect(() => resolveConnection(flags(), { ROLLCALL_URL: 'http://registry-a:1,nonsense' })).toThrow(
      '"nonsense" is not an http(s) URL',
    );
  });

  it('rejects a URL with a user without repeating the password', async () => {
    const pending = apiOf(flags(), { ROLLCALL_URL: 'http://ada:geheim@registry:1' });
    await expect(pending).rejects.toThrow('"http://…@registry:1" is not an http(s) URL without user');
    await expect(apiOf(flags({ '--url': 'http://registry:1/?token=x' }), {})).rejects.toThrow('query');
    expect(() => new RegistryApi('http://ada:geheim@registry:1')).toThrow(
      '"http://…@registry:1" is not an http(s) URL',
    );
  });

  it.each(['rct_a\n', ' rct_a', 'Bearer rct_a', 'rct_a\u200B'])(
    'refuses the token %j, and does not repeat it',
    async (token) => {
      const pending = apiOf(flags(), { ROLLCALL_TOKEN: token });
      await expect(pending).rejects.toThrow(
        /^Option ROLLCALL_TOKEN: received a value that is not shown here, allowed is one word, .* no blank or line break/,
      );
      await expect(pending).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    },
  );

  it('requires files that can be read, whether a flag or the environment names them', async () => {
    const secure = { ROLLCALL_URL: 'https://registry:1' };
    const unreadable = /^Option registryTls: the certificates or the key cannot be read: ENOENT/;
    await expect(apiOf(flags({ '--ca-file': 'nowhere.pem' }), secure)).rejects.toThrow(unreadable);
    await expect(apiOf(flags(), { ...secure, ROLLCALL_CA_FILE: 'nowhere.pem' })).rejects.toThrow(unreadable);
    await expect(apiOf(flags({ '--key-file': 'a.key' }), secure)).rejects.toThrow(
      '--key-file is there without --cert-file',
    );
    const both = { ...secure, ROLLCALL_CERT_FILE: 'nowhere.pem' };
    await expect(apiOf(flags({ '--key-file': 'nowhere.key' }), both)).rejects.toThrow(unreadable);
  });
});
