import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { makeAuthority } from '@worktide/backends';
import { createAddressRules } from './addresses.ts';
import type { Resolve } from './resolve.ts';
import { maxAnswerBytes, type SendTerms, send } from './send.ts';
import { type Receiver, startReceiver } from './testing.ts';

const nobody: Resolve = async () => {
  throw new Error('nobody is to be asked');
};
/** A name server that says these one after the other, and then the last for ever. */
function names(...answers: string[][]): Resolve & { asked: string[] } {
  const asked: string[] = [];
  const resolve = async (name: string): Promise<string[]> => {
    asked.push(name);
    return answers[Math.min(asked.length, answers.length) - 1]!;
  };
  return Object.assign(resolve, { asked });
}
const strict: SendTerms = { rules: createAddressRules([]), allowHttp: false, resolve: nobody, timeoutMs: 10_000 };
/** As where an operator allows this machine, also without TLS. */
const lenient: SendTerms = { ...strict, rules: createAddressRules(['127.0.0.0/8']), allowHttp: true };

const never = new AbortController().signal;
const post = (terms: SendTerms, url: string, body = '{}') =>
  send(terms, { url, headers: { 'Content-Type': 'application/json' }, body }, never);
const codeOf = async (terms: SendTerms, url: string) => (await post(terms, url)).failure?.code;

let receiver: Receiver;
const opened: Receiver[] = [];
async function start(...args: Parameters<typeof startReceiver>): Promise<Receiver> {
  const one = await startReceiver(...args);
  opened.push(one);
  return one;
}
beforeAll(async () => {
  receiver = await start();
});
afterAll(() => {
  for (const one of opened) one.close();
});
afterEach(() => {
  receiver.received.length = 0;
  receiver.behave((_, res) => res.writeHead(204).end());
});

describe('what is not sent at all', () => {
  test.each([
    'https://127.0.0.1/',
    'https://127.1/',
    'https://2130706433/',
    'https://0x7f000001/',
    'https://0177.0.0.1/',
    'https://[::1]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[::ffff:7f00:1]/',
    'https://[64:ff9b::7f00:1]/',
    'https://[fe80::1]/',
    'https://[fd00::1]/',
    'https://169.254.169.254/latest/meta-data/',
    'https://10.0.0.1:8443/',
    'https://0.0.0.0/',
  ])('%s', async (url) => {
    expect(await codeOf(strict, url)).toBe('ADDRESS_REFUSED');
  });

  test.each(['127.0.0.1', '10.0.0.1', '169.254.169.254', '::1', 'fe80::1', 'fd00::1', '::ffff:127.0.0.1'])(
    'a name that leads to %s, also beside a public address',
    async (address) => {
      expect(await codeOf({ ...strict, resolve: names([address]) }, 'https://hook.example/')).toBe('ADDRESS_REFUSED');
      expect(await codeOf({ ...strict, resolve: names(['1.1.1.1', address]) }, 'https://hook.example/')).toBe(
        'ADDRESS_REFUSED',
      );
    },
  );

  test('plain http, a user in the URL, a name that leads nowhere', async () => {
    const resolve = names(['1.1.1.1']);
    expect(await codeOf({ ...strict, resolve }, 'http://hook.example/')).toBe('NOT_HTTPS');
    // Where an operator allows http, it is to the ranges that they allow.
    expect(await codeOf({ ...lenient, resolve }, 'http://hook.example/')).toBe('NOT_HTTPS');
    expect(await codeOf({ ...strict, resolve }, 'https://user:password@hook.example/')).toBe('URL_HAS_CREDENTIALS');
    expect(await codeOf({ ...strict, resolve: names([]) }, 'https://hook.example/')).toBe('NAME_NOT_FOUND');
    expect(await codeOf(strict, 'https://hook.example/')).toBe('NAME_NOT_FOUND');
  });

  test('a name that leads elsewhere at the second look is looked at in each delivery, once, and that counts', async () => {
    const port = receiver.port;
    const rebinding = names(['127.0.0.1'], ['127.0.0.2']);
    const only = { ...lenient, rules: createAddressRules(['127.0.0.1/32']), resolve: rebinding };
    expect((await post(only, `http://hook.example:${port}/`)).failure).toBeNull();
    // One look for the check and the connection: nothing was asked between the two.
    expect(rebinding.asked).toEqual(['hook.example']);
    expect(receiver.received).toHaveLength(1);
    expect(receiver.received[0]!.headers.host).toBe(`hook.example:${port}`);
    expect(await codeOf(only, `http://hook.example:${port}/`)).toBe('ADDRESS_REFUSED');
    expect(rebinding.asked).toHaveLength(2);
    expect(receiver.received).toHaveLength(1);
  });

  test('where a redirect leads to is not asked', async () => {
    const inside = await start();
    for (const status of [301, 302, 303, 307, 308]) {
      receiver.behave((_, res) => res.writeHead(status, { location: inside.url }).end('elsewhere'));
      expect(await post(lenient, receiver.url)).toMatchObject({
        statusCode: status,
        answer: 'elsewhere',
        failure: { code: 'REDIRECTED' },
      });
    }
    expect(inside.received).toEqual([]);
  });
});

describe('a receiver', () => {
  test('gets the body byte for byte, by POST, on a connection of its own', async () => {
    receiver.behave((_, res) => res.writeHead(200).end('thanks'));
    const body = JSON.stringify({ name: 'Ünïcode 👋' });
    const outcome = await post(lenient, `${receiver.url}?a=b`, body);
    expect(outcome).toEqual({ statusCode: 200, answer: 'thanks', failure: null, durationMs: expect.any(Number) });
    expect(receiver.received).toMatchObject([
      { method: 'POST', url: '/hook?a=b', body, headers: { connection: 'close', 'content-type': 'application/json' } },
    ]);
  });

  test('that says no, hangs, is slow for ever, breaks off or is none: each a failure of its own', async () => {
    receiver.behave((_, res) => res.writeHead(500).end('oh\u0000no'));
    expect(await post(lenient, receiver.url)).toMatchObject({
      statusCode: 500,
      answer: 'oh\ufffdno',
      failure: { code: 'STATUS' },
    });
    const hurried = { ...lenient, timeoutMs: 150 };
    receiver.behave(() => {});
    expect(await post(hurried, receiver.url)).toMatchObject({ statusCode: null, failure: { code: 'TIMEOUT' } });
    // Byte by byte, so that no pause between two is long.
    receiver.behave((_, res) => {
      res.writeHead(200);
      const timer = setInterval(() => res.write('.'), 10);
      res.on('close', () => clearInterval(timer));
    });
    expect(await codeOf(hurried, receiver.url)).toBe('TIMEOUT');
    receiver.behave((_, res) => res.destroy());
    expect(await codeOf(lenient, receiver.url)).toBe('CLOSED');
    receiver.behave((_, res) => {
      res.writeHead(200, { 'content-length': 100 });
      res.write('half', () => res.destroy());
    });
    expect(await codeOf(lenient, receiver.url)).toBe('CLOSED');
    receiver.behave((_, res) => res.socket!.end('this is no HTTP\r\n\r\n'));
    expect(await codeOf(lenient, receiver.url)).toBe('BAD_ANSWER');
    const gone = await start();
    gone.close();
    expect(await codeOf(lenient, gone.url)).toBe('NOT_REACHED');
    const silent: Resolve = () => new Promise(() => {});
    expect(await codeOf({ ...hurried, resolve: silent }, 'http://hook.example/')).toBe('TIMEOUT');
  });

  test('that answers without end is heard for 64 KiB', async () => {
    let closed: Promise<unknown> | undefined;
    receiver.behave((_, res) => {
      res.writeHead(200);
      closed = new Promise((resolve) => res.on('close', resolve));
      const more = (): void => {
        while (res.writable && res.write('x'.repeat(16_384)));
        if (res.writable) res.once('drain', more);
      };
      more();
    });
    const { failure, answer } = await post(lenient, receiver.url);
    expect(failure).toBeNull();
    expect(answer).toHaveLength(maxAnswerBytes);
    await closed;
  });

  test('has to have a certificate that is trusted, for the name of the URL', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'webhook-tls-'));
    try {
      const authority = await makeAuthority(folder);
      const { cert, key } = await authority.issue('receiver', ['DNS:hook.example', 'IP:127.0.0.1']);
      const secure = await start({ cert: readFileSync(cert), key: readFileSync(key) });
      const resolve = names(['127.0.0.1']);
      const trusting = { ...lenient, allowHttp: false, resolve, ca: readFileSync(authority.cert, 'utf8') };
      const at = (host: string): string => `https://${host}:${secure.port}/hook`;
      expect((await post(trusting, at('hook.example'))).failure).toBeNull();
      expect((await post(trusting, at('127.0.0.1'))).failure).toBeNull();
      expect(await codeOf(trusting, at('other.example'))).toBe('TLS_FAILED');
      expect(await codeOf({ ...lenient, resolve }, at('hook.example'))).toBe('TLS_FAILED');
      expect(secure.received).toHaveLength(2);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
