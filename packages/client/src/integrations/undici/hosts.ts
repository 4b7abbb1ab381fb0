import { NAME_PATTERN, option } from '@rollcall/core';

/** A name, `*`, or `*.suffix`. */
const HOST_PATTERN = /^(\*|[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;
/** A URL with a port, with a user, or with TLS is an address, not the name of a service. */
const ORIGIN = /^http:\/\/([a-z0-9.-]+)\/?$/i;
/** Origins come from untrusted input: the cache has at most this many entries and is then cleared. */
const MAX_ORIGINS = 1_024;

export const hostsField = option.list({
  doc: 'Which hosts of http URLs without a port are services: a name, `*` for any single label but localhost, `*.suffix` for labels before it.',
  item: option.string({
    doc: 'A pattern.',
    pattern: HOST_PATTERN,
    allowed: 'a host name in lower case, whose first label may be *',
  }),
  default: Object.freeze(['*', '*.rollcall']),
  min: 1,
  max: 1_000,
});

/** The service that an origin stands for, by the patterns of the option `hosts`; null: it is an address. */
export class ServiceHosts {
  readonly #names: ReadonlySet<string>;
  /** The suffixes with their leading dot; the empty suffix stands for `*`. */
  readonly #suffixes: readonly string[];
  readonly #known = new Map<string, string | null>();

  constructor(patterns: readonly string[]) {
    this.#names = new Set(patterns.filter((pattern) => !pattern.startsWith('*')));
    this.#suffixes = patterns.filter((pattern) => pattern.startsWith('*')).map((pattern) => pattern.slice(1));
  }

  serviceOf(origin: string | URL): string | null {
    const text = typeof origin === 'string' ? origin : origin.origin;
    const known = this.#known.get(text);
    if (known !== undefined) return known;
    if (this.#known.size >= MAX_ORIGINS) this.#known.clear();
    const host = ORIGIN.exec(text)?.[1]?.toLowerCase();
    const service = host === undefined ? null : this.#match(host);
    this.#known.set(text, service);
    return service;
  }

  #match(host: string): string | null {
    const end = host.indexOf('.');
    const label = end < 0 ? host : host.slice(0, end);
    if (!NAME_PATTERN.test(label)) return null;
    if (this.#names.has(host)) return label;
    const rest = host.slice(label.length);
    if (!this.#suffixes.includes(rest)) return null;
    // this name always means the local machine, not a service
    return rest === '' && label === 'localhost' ? null : label;
  }
}
