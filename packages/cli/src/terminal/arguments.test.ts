import { option } from '@rollcall/core';
import { describe, expect, it } from 'vitest';
import { describeFlags, parseArguments, repeated, toggle, valued } from './arguments.js';

const FLAGS = {
  '--port': valued(option.number({ doc: 'where', min: 0, max: 65_535, default: 1337 }), '<port>', 'p'),
  '--url': valued(option.string({ doc: 'whom' }), '<url>'),
  '--name': repeated(
    option.list({ doc: 'called what', item: option.string({ doc: 'a name' }), default: [] }),
    '<name>',
  ),
  '--json': toggle('as JSON', 'j'),
};
const parse = (...argv: string[]) => parseArguments(FLAGS, argv);

describe('a command line', () => {
  it('takes all defaults if it is empty', () => {
    expect(parse()).toEqual({
      flags: { '--port': 1337, '--url': undefined, '--name': [], '--json': false },
      operands: [],
    });
  });

  it('takes values after a space, after an equals sign and after a letter', () => {
    expect(parse('--port', '0').flags['--port']).toBe(0);
    expect(parse('--port=0').flags['--port']).toBe(0);
    expect(parse('-p', '0').flags['--port']).toBe(0);
  });

  it('accepts a number for a text', () => {
    expect(parse('--url', '1337').flags['--url']).toBe('1337');
  });

  it('separates operands from flags, and treats everything after -- as an operand', () => {
    expect(parse('orders', '--json', '--', '--port')).toMatchObject({
      operands: ['orders', '--port'],
      flags: { '--json': true },
    });
  });

  it('uses the last value of a repeated flag', () => {
    expect(parse('--port', '1', '--port', '2').flags['--port']).toBe(2);
  });

  it('keeps all values of a flag that may be repeated, in order, as text', () => {
    expect(parse('--name', 'a', '--port', '0', '--name=1337').flags['--name']).toEqual(['a', '1337']);
    expect(parse('--name', 'a').flags['--name']).toEqual(['a']);
  });
});

describe('an invalid command line', () => {
  it('names the nearest flag', () => {
    expect(() => parse('--prot', '1')).toThrow('Option --prot does not exist. Did you mean --port?');
    expect(() => parse('-x')).toThrow('Option -x does not exist. Known here: --port, --url, --name, --json.');
  });

  it('names the received and the allowed values', () => {
    expect(() => parse('--port', 'http')).toThrow(
      'Option --port: received "http", allowed is a number from 0 to 65535.',
    );
    expect(() => parse('--port', '-1')).toThrow('received -1');
    expect(() => parse('--port', '0x10')).toThrow('received "0x10"');
    expect(() => parse('--name', 'a', '--name', '')).toThrow('Option --name[1]: received ""');
  });

  it('fails if a value is missing, or not allowed', () => {
    expect(() => parse('--port')).toThrow('Option --port needs a value: --port <port>');
    expect(() => parse('--json=yes')).toThrow('Option --json takes no value.');
  });

  it('cannot reach the prototype', () => {
    expect(() => parse('--__proto__', 'x')).toThrow('does not exist');
    expect(() => parse('--constructor')).toThrow('Option --constructor does not exist.');
  });
});

it('describes each flag', () => {
  expect(describeFlags(FLAGS)).toEqual([
    '  -p, --port <port>  where',
    '      --url <url>    whom',
    '      --name <name>  called what',
    '  -j, --json         as JSON',
  ]);
});
