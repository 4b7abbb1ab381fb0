const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;
const LABEL = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;
const HEX_GROUP = /^[0-9A-Fa-f]{1,4}$/;
/**
 * With such a last label, a resolver reads the whole name as an IPv4 address: `127.1`, `2130706433`, `0x7f.1`,
 * `017700000001`.
 */
const NUMERIC_LABEL = /^(?:\d+|0[xX][0-9A-Fa-f]*)$/;

/**
 * True for an IPv4 address in four decimal parts, an IPv6 address without brackets and zone, or a host name (letters,
 * digits, hyphens and dots, at most 253 characters). False for short, octal, hexadecimal and one-number forms of an
 * IPv4 address, because each of them can bypass an address check.
 */
export function isHost(text: string): boolean {
  if (text.length > 253) return false;
  return text.includes(':') ? isIpv6(text) : isIpv4(text) || isHostName(text);
}

/** True for four decimal parts of 0 … 255 without leading zeros. */
export function isIpv4(text: string): boolean {
  return IPV4.test(text);
}

/**
 * True for an address of RFC 4291: eight groups, one run of them may be `::`, the last two may be an IPv4 address. No
 * brackets, no zone.
 */
export function isIpv6(text: string): boolean {
  if (text.length > 45) return false;
  const halves = text.split('::', 3);
  if (halves.length > 2) return false;
  const [head, tail] = halves.map((half) => (half === '' ? [] : half.split(':')));
  if (head === undefined) return false;
  const groups = [...head, ...(tail ?? [])];
  // an embedded IPv4 address is the end of the text, so it never precedes `::`
  const endsInIpv4 = isIpv4((tail ?? head).at(-1) ?? '');
  const plain = endsInIpv4 ? groups.slice(0, -1) : groups;
  const width = plain.length + (endsInIpv4 ? 2 : 0);
  return plain.every((each) => HEX_GROUP.test(each)) && (tail === undefined ? width === 8 : width <= 7);
}

/** True if the host means the local machine on every machine: a loopback address, also in the brackets of a URL, or `localhost`. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || (isIpv4(host) && host.startsWith('127.'));
}

function isHostName(text: string): boolean {
  const labels = text.split('.');
  return labels.every((each) => LABEL.test(each)) && !NUMERIC_LABEL.test(labels.at(-1) ?? '');
}
