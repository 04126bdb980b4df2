import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { webhookEvent } from '@worktide/schemas';
import { createSecrets } from './secrets.ts';
import { newSecret, signatureHeaders } from './sign.ts';

const page = readFileSync(new URL('../../../../docs/webhooks.md', import.meta.url), 'utf8');
type IsSigned = (header: string | undefined, body: string | Buffer, secret: string, nowSeconds?: number) => boolean;

/** The receiver's side, as the page has it. */
async function documented(): Promise<IsSigned> {
  const code = /```js\n([\s\S]*?)```/.exec(page)![1]!;
  const { isSigned } = await import(`data:text/javascript,${encodeURIComponent(code)}`);
  return isSigned;
}

const seconds = 1_795_790_400;
const id = '4f34bb2e-3187-8628-8094-bb533cbbe5c1';
const body = JSON.stringify({ id, name: 'Ünïcode' });

test('the check of the page takes what is signed, and nothing else', async () => {
  const isSigned = await documented();
  const [secret, before] = [newSecret(), newSecret()];
  const header = signatureHeaders([secret], { id, seconds, body })['X-Worktide-Signature']!;
  expect(isSigned(header, body, secret, seconds)).toBe(true);
  expect(isSigned(header, Buffer.from(body), secret, seconds + 299)).toBe(true);
  expect(isSigned(header, `${body} `, secret, seconds)).toBe(false);
  expect(isSigned(header, body, before, seconds)).toBe(false);
  expect(isSigned(header, body, secret, seconds + 301)).toBe(false);
  expect(isSigned(header.replace(`t=${seconds}`, `t=${seconds + 1}`), body, secret, seconds)).toBe(false);
  for (const none of [undefined, '', 'v1=', 't=1', `t=${seconds}`, `t=${seconds},v1=ab`, 't=x,v1=y']) {
    expect([none, isSigned(none, body, secret, seconds)]).toEqual([none, false]);
  }
  const both = signatureHeaders([secret, before], { id, seconds, body })['X-Worktide-Signature']!;
  for (const either of [secret, before]) expect(isSigned(both, body, either, seconds)).toBe(true);
});

test('beside it stands the signature of Standard Webhooks, over id, time and body', () => {
  const secret = newSecret();
  const headers = signatureHeaders([secret], { id, seconds, body });
  expect([headers['Webhook-Id'], headers['Webhook-Timestamp']]).toEqual([id, String(seconds)]);
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64');
  expect(key).toHaveLength(32);
  const expected = createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64');
  expect(headers['Webhook-Signature']).toBe(`v1,${expected}`);
});

test('the page names every event', () => {
  for (const event of webhookEvent.options) {
    const [kind, what] = event.split('.') as [string, string];
    const named = page.includes(`\`${event}\``) || new RegExp(`\`${kind}\\.[^|]*\`\\.${what}\``).test(page);
    expect([event, named]).toEqual([event, true]);
  }
});

test('secrets are sealed for one webhook, by the first key, and opened by any', () => {
  const [old, next] = ['o'.repeat(32), 'n'.repeat(32)];
  const sealed = createSecrets([old]).seal('whsec_x', id);
  expect(sealed).not.toContain('whsec_x');
  expect(createSecrets([next, old]).open(sealed, id)).toBe('whsec_x');
  expect(() => createSecrets([next]).open(sealed, id)).toThrow('cannot be read');
  expect(() => createSecrets([old]).open(sealed, 'another')).toThrow('cannot be read');
  // Kept as it was before there was a key, and read all the same.
  expect(createSecrets([next]).open(createSecrets([]).seal('whsec_x', id), id)).toBe('whsec_x');
});
