import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { until } from '@worktide/testing';
import type { Product } from './product.ts';

/** A line of quoted-printable goes on after `=` at its end (RFC 2045, 6.7). */
const decode = (text: string): string =>
  text
    .replaceAll(/=\r?\n/g, '')
    .replaceAll(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));

/** Mails to an address, oldest first, as the embedded engines write them. */
export async function mailsTo(product: Pick<Product, 'data'>, address: string): Promise<string[]> {
  const folder = path.join(product.data, 'mail');
  const names = await readdir(folder).catch(() => []);
  const texts = await Promise.all(
    names
      .filter((name) => name.endsWith('.eml'))
      .sort()
      .map((name) => readFile(path.join(folder, name), 'utf8')),
  );
  return texts
    .filter((text) => new RegExp(`^To:.*${address.replaceAll('.', '\\.')}`, 'im').test(text))
    .map((text) => (/quoted-printable/i.test(text) ? decode(text) : text));
}

/** The token of the newest mail with a link, waited for until there are this many of them. */
export function tokenTo(product: Pick<Product, 'data'>, address: string, count = 1): Promise<string> {
  return until(`mail ${count} to ${address}`, async () => {
    const tokens = (await mailsTo(product, address)).flatMap(
      (text) => /^https?:\S+[?&]token=([\w-]+)\s*$/m.exec(text)?.[1] ?? [],
    );
    return tokens.length >= count && tokens.at(-1);
  });
}
