import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { askOn } from './ask.js';

const terminal = () => Object.assign(new PassThrough(), { isTTY: true });

describe('a question', () => {
  it('resolves with the line that is typed', async () => {
    const [input, output] = [terminal(), terminal()];
    const answer = askOn({ input, output })?.('Continue? [y/N] ');
    input.write('yes\n');
    expect(await answer).toBe('yes');
    expect(String(output.read())).toContain('Continue? [y/N] ');
  });

  it('resolves with an empty text if the input ends', async () => {
    const [input, output] = [terminal(), terminal()];
    const answer = askOn({ input, output })?.('Continue? [y/N] ');
    input.end();
    expect(await answer).toBe('');
  });

  it('requires a terminal', () => {
    expect(askOn({ input: new PassThrough(), output: terminal() })).toBeNull();
    expect(askOn({ input: terminal(), output: new PassThrough() })).toBeNull();
  });
});
