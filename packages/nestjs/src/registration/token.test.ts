import { describe, expect, it } from 'vitest';
import { readSettings } from '../rollcall.module-definition.js';

const read = () => readSettings({}, { ROLLCALL_TOKEN: 'rct_secret\nmore' });

describe('the access token', () => {
  it('comes from ROLLCALL_TOKEN, unless it is an option', () => {
    expect(readSettings({}, { ROLLCALL_TOKEN: 'rct_env' }).client.token).toBe('rct_env');
    expect(readSettings({ token: 'rct_option' }, { ROLLCALL_TOKEN: 'rct_env' }).client.token).toBe('rct_option');
    expect(readSettings({}, { ROLLCALL_TOKEN: '' }).client.token).toBeUndefined();
  });

  it('is not shown in the error if it is invalid, such as with an extra line', () => {
    expect(read).toThrow(/Option token: received a value that is not shown here, allowed is one word/);
    expect(read).not.toThrow(/rct_secret/);
  });
});
