import { BlockList, isIP } from 'node:net';

/**
 * IPv4 that is not somebody on the public internet: IANA's special-purpose registry (RFC 6890 and its updates), multicast and
 * what is reserved.
 */
const special4 = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.31.196.0/24',
  '192.52.193.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '192.175.48.0/24',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
];
/** Of IPv6 what is global, and of that what is not: loopback, ULA (fc00::/7), link-local and multicast lie outside. */
const global6 = '2000::/3';
/** Protocol assignments (Teredo among them), documentation, 6to4. */
const special6 = ['2001::/23', '2001:db8::/32', '2002::/16', '2620:4f:8000::/48', '3fff::/20'];
/** Where the last 32 bits are an IPv4 address, which counts: mapped, and translated (RFC 6052). */
const carrying4 = ['::ffff:0:0/96', '64:ff9b::/96'];

/** Whether a text is a range of addresses, `10.0.0.0/8` or `fd00::/8`. */
export function isRange(text: string): boolean {
  const [network = '', prefix = '', ...more] = text.split('/');
  const family = isIP(network);
  return family !== 0 && more.length === 0 && /^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128);
}

function listOf(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [network, prefix] = range.split('/') as [string, string];
    list.addSubnet(network, Number(prefix), isIP(network) === 4 ? 'ipv4' : 'ipv6');
  }
  return list;
}

/** What may be connected to. */
export interface AddressRules {
  /** @param address an IP address; anything else is refused. */
  verdict(address: string): 'public' | 'allowed' | 'refused';
}

/** @param allowed ranges that may be connected to though they are not public. */
export function createAddressRules(allowed: readonly string[]): AddressRules {
  const own = listOf(allowed);
  const not4 = listOf(special4);
  const not6 = listOf(special6);
  const only6 = listOf([global6]);
  const carrying = listOf(carrying4);

  function verdict(address: string): 'public' | 'allowed' | 'refused' {
    if (isIP(address) === 4) {
      if (own.check(address, 'ipv4')) return 'allowed';
      return not4.check(address, 'ipv4') ? 'refused' : 'public';
    }
    const groups = groupsOf(address);
    if (!groups) return 'refused';
    // Looked at first: a BlockList takes a mapped address for the one that it carries, and others not.
    if (carrying.check(address, 'ipv6') || isMapped(groups)) return verdict(carriedBy(groups));
    if (own.check(address, 'ipv6')) return 'allowed';
    return only6.check(address, 'ipv6') && !not6.check(address, 'ipv6') ? 'public' : 'refused';
  }
  return { verdict };
}

/** The eight groups of an IPv6 address; undefined for anything else, an address with a zone included. */
function groupsOf(address: string): number[] | undefined {
  if (isIP(address) !== 6 || address.includes('%')) return undefined;
  // The parser of URLs writes it in one form, a dotted end as two groups.
  const [left = '', right] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const parse = (part: string | undefined): number[] =>
    part ? part.split(':').map((group) => Number.parseInt(group, 16)) : [];
  const [before, after] = [parse(left), parse(right)];
  return [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after];
}

const isMapped = (groups: readonly number[]): boolean =>
  groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;

const carriedBy = ([, , , , , , high = 0, low = 0]: readonly number[]): string =>
  [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.');
