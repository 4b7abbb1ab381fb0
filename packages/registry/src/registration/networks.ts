import { BlockList, isIP, isIPv6 } from 'node:net';

/**
 * Addresses of no host or of many, which are never called: https://www.iana.org/assignments/iana-ipv4-special-registry
 * and its IPv6 counterpart.
 */
const NO_HOSTS: readonly string[] = ['0.0.0.0/8', '224.0.0.0/4', '240.0.0.0/4', '::/128', 'ff00::/8'];

/**
 * Special ranges that a wide allowed network does not mean, and that are most valuable to an attacker: this machine
 * itself, its link, the metadata addresses of clouds (credentials among them), embedded IPv4 addresses (NAT64, 6to4,
 * Teredo, compatible, translated), and ranges without hosts. An allowed network includes such addresses only if it lies
 * within one of these ranges.
 */
const SPECIAL: readonly string[] = [
  '127.0.0.0/8',
  '::1/128',
  '169.254.0.0/16',
  'fe80::/10',
  'fec0::/10',
  // Alibaba, Azure, Amazon and Google; Oracle's lies in the next group
  '100.100.100.200/32',
  '168.63.129.16/32',
  'fd00:ec2::/32',
  'fd20:ce::/64',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '2001:db8::/32',
  '::/96',
  '::ffff:0:0:0/96',
  '64:ff9b::/96',
  '64:ff9b:1::/48',
  '2001::/32',
  '2002::/16',
];

/** Which addresses besides the peer's own may be called: those of allowed networks. */
export class Networks {
  readonly #noHosts = new Range(NO_HOSTS.map(networkOf));
  readonly #wide: Range;
  readonly #special: readonly { readonly range: Range; readonly named: Range }[];

  /** Throws RangeError for an invalid network. */
  constructor(allowed: readonly string[]) {
    const networks = allowed.map(networkOf);
    this.#wide = new Range(networks);
    this.#special = SPECIAL.map((text) => {
      const outer = networkOf(text);
      const range = new Range([outer]);
      const isIn = ({ address, prefix }: Network): boolean => range.has(address) && prefix >= outer.prefix;
      return { range, named: new Range(networks.filter(isIn)) };
    });
  }

  /** `address`: an IP address without a zone, one of IPv4 not as IPv6. */
  has(address: string): boolean {
    if (this.#noHosts.has(address)) return false;
    const special = this.#special.filter(({ range }) => range.has(address));
    return special.length === 0 ? this.#wide.has(address) : special.some(({ named }) => named.has(address));
  }
}

interface Network {
  readonly address: string;
  readonly prefix: number;
}

function networkOf(text: string): Network {
  const [address = '', prefix] = text.split('/');
  const width = isIPv6(address) ? 128 : 32;
  const bits = Number(prefix ?? width);
  if (isIP(address) === 0 || !(bits >= 0 && bits <= width)) {
    throw new RangeError(`allowedNetworks: ${text} is no network such as 10.0.0.0/8.`);
  }
  return { address, prefix: bits };
}

const familyOf = (address: string): 'ipv4' | 'ipv6' => (isIPv6(address) ? 'ipv6' : 'ipv4');

/** A list of networks by family: for Node every IPv4 address is in ::/0, too. */
class Range {
  readonly #lists = { ipv4: new BlockList(), ipv6: new BlockList() };

  constructor(networks: readonly Network[]) {
    for (const { address, prefix } of networks) {
      const family = familyOf(address);
      this.#lists[family].addSubnet(address, prefix, family);
    }
  }

  has(address: string): boolean {
    const family = familyOf(address);
    return this.#lists[family].check(address, family);
  }
}
