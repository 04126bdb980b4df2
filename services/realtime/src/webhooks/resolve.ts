import { Resolver } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { AddressRules } from './addresses.ts';

/** Why a delivery, or an address, is none. The text is for whoever administers the webhook, and names nothing of ours. */
export class DeliveryFailure extends Error {
  readonly code: string;

  constructor(code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'DeliveryFailure';
    this.code = code;
  }
}

/** All addresses of a name. Rejects where there are none, or the signal aborts. */
export type Resolve = (name: string, signal: AbortSignal) => Promise<string[]>;

/**
 * Asks DNS itself, not the operating system: that waits in one of four threads which files and hashes need, and a name server of
 * somebody's own making would hold them all. So there is no `/etc/hosts` here.
 */
export const resolveByDns: Resolve = async (name, signal) => {
  const resolver = new Resolver({ timeout: 2_000, tries: 2 });
  const cancel = (): void => resolver.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  try {
    const answers = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
    const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    if (found.length > 0) return found;
    throw answers.find(({ status }) => status === 'rejected');
  } finally {
    signal.removeEventListener('abort', cancel);
  }
};

/** What a URL leads to, decided once: these addresses are connected to, whatever the name says a moment later. */
export interface Target {
  url: URL;
  addresses: string[];
}

const refused = (): DeliveryFailure =>
  new DeliveryFailure('ADDRESS_REFUSED', 'It leads to an address that is not on the public internet.');

/**
 * Looks where a URL leads to. One refused address among several refuses it: which of them is taken is not ours to say.
 * @param rules.allowHttp plain http, to allowed ranges.
 * @throws DeliveryFailure
 */
export async function findTarget(
  text: string,
  { rules, allowHttp, resolve }: { rules: AddressRules; allowHttp: boolean; resolve: Resolve },
  signal: AbortSignal,
): Promise<Target> {
  const url = new URL(text);
  const isPlain = url.protocol === 'http:';
  if (!(url.protocol === 'https:' || (isPlain && allowHttp))) {
    throw new DeliveryFailure('NOT_HTTPS', 'Only https is delivered to.');
  }
  if (url.username !== '' || url.password !== '') {
    throw new DeliveryFailure('URL_HAS_CREDENTIALS', 'A user or a password in the URL is not sent.');
  }
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const addresses = isIP(host) === 0 ? await namesAddresses(host, resolve, signal) : [host];
  const verdicts = addresses.map((address) => rules.verdict(address));
  if (verdicts.includes('refused')) throw refused();
  if (isPlain && verdicts.includes('public')) throw new DeliveryFailure('NOT_HTTPS', 'Only https is delivered to.');
  return { url, addresses };
}

async function namesAddresses(name: string, resolve: Resolve, signal: AbortSignal): Promise<string[]> {
  try {
    const found = await resolve(name, signal);
    if (found.length > 0) return found;
  } catch (error) {
    throw new DeliveryFailure('NAME_NOT_FOUND', 'The name of the host leads to no address.', error);
  }
  throw new DeliveryFailure('NAME_NOT_FOUND', 'The name of the host leads to no address.');
}
