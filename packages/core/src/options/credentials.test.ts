import { beforeEach, describe, expect, it } from 'vitest';
import { recordingLog } from '../testing.js';
import { Credentials } from './credentials.js';
import type { Pem } from './credentials.js';
import { credentialRules } from './tls.js';

const pem = (name: string): string => `-----BEGIN ${name}-----\nAAAA\n-----END ${name}-----\n`;

const files = new Map<string, string>();
/** Counts the reads of all files. */
let reads = 0;

function textAt(path: string): string {
  const text = files.get(path);
  if (text === undefined) throw new Error(`ENOENT: no such file, ${path}`);
  return text;
}

/** Like OpenSSL, rejects a key that does not belong to the certificate. */
function build(texts: Pem): Pem {
  const [cert, key] = [texts.cert, texts.key].map((text) => /BEGIN (\w+)/.exec(text ?? '')?.[1]);
  if (cert !== key) throw new Error('key values mismatch');
  return texts;
}

function open(terms = { caFile: 'ca', certFile: 'cert', keyFile: 'key' }) {
  const log = recordingLog();
  const read = (path: string): string => {
    reads += 1;
    return textAt(path);
  };
  const credentials = new Credentials({ terms, option: 'registryTls', log, stamp: textAt, read, build });
  return { credentials, log };
}

describe('credentials', () => {
  beforeEach(() => {
    reads = 0;
    files.clear();
    files.set('ca', pem('CA')).set('cert', pem('ONE')).set('key', pem('ONE'));
  });

  it('have the content of the files', () => {
    expect(open().credentials.current).toEqual({ ca: pem('CA'), cert: pem('ONE'), key: pem('ONE') });
  });

  it('are the same object, without a read, while no file changes', () => {
    const { credentials } = open();
    const { current } = credentials;
    reads = 0;
    expect(credentials.current).toBe(current);
    expect(reads).toBe(0);
  });

  it('change as soon as the files change, which is logged once', () => {
    const { credentials, log } = open();
    files.set('ca', pem('OTHER'));
    expect(credentials.current.ca).toBe(pem('OTHER'));
    expect(credentials.current.ca).toBe(pem('OTHER'));
    expect(log.texts('info')).toEqual(['Option registryTls: ca, cert, key changed, and will be used from now on.']);
  });

  it('stay the same while a certificate waits for its key, which is logged once', () => {
    const { credentials, log } = open();
    files.set('cert', pem('TWO'));
    for (let times = 0; times < 3; times += 1) expect(credentials.current.cert).toBe(pem('ONE'));
    expect(log.texts('warn')).toEqual([expect.stringContaining('cannot be used: key values mismatch')]);
    files.set('key', pem('TWO'));
    expect(credentials.current).toMatchObject({ cert: pem('TWO'), key: pem('TWO') });
    files.set('key', pem('ONE'));
    expect(credentials.current.key).toBe(pem('TWO'));
    expect(log.texts('warn')).toHaveLength(2);
  });

  it.each([
    ['is truncated', 'ca is truncated', (): unknown => files.set('ca', pem('CA') + pem('TWO').slice(0, 20))],
    ['is empty', 'ca has no PEM text', (): unknown => files.set('ca', '')],
    ['is gone', 'ENOENT', (): unknown => files.delete('ca')],
  ])('stay the same while a file %s', (_, why, change) => {
    const { credentials, log } = open();
    const before = credentials.current;
    change();
    expect(credentials.current).toBe(before);
    expect(log.texts('warn')).toEqual([expect.stringContaining(why)]);
    files.set('ca', pem('NEW'));
    expect(credentials.current.ca).toBe(pem('NEW'));
  });

  it('are rejected if they are unusable at the start', () => {
    files.delete('key');
    expect(() => open()).toThrow(/^Option registryTls: the certificates or the key cannot be read: ENOENT.*, key/);
    files.set('key', pem('TWO'));
    expect(() => open()).toThrow(/key values mismatch/);
  });
});

const flaws = (terms: object): unknown[] => credentialRules('tls').flatMap((rule) => rule(terms) ?? []);

describe('the rules of credentials', () => {
  it('allow texts and files', () => {
    expect(flaws({ ca: 'a', certFile: 'b', keyFile: 'c' })).toEqual([]);
    expect(flaws({ cert: 'a', keyFile: 'c' })).toEqual([]);
    expect(flaws({})).toEqual([]);
  });

  it('require a certificate and its key together, and each once', () => {
    expect(flaws({ certFile: 'b' })).toEqual([expect.stringContaining('tls: cert is there without key')]);
    expect(flaws({ key: 'b' })).toEqual([expect.stringContaining('tls: key is there without cert')]);
    expect(flaws({ ca: 'a', caFile: 'b' })).toEqual(['tls: ca and caFile are both set: omit one of them.']);
  });
});
