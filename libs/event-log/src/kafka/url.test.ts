import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Authority, type Certificate, makeAuthority } from '@worktide/backends';
import fc from 'fast-check';
import { parseKafkaUrl } from './url.ts';

let dir: string;
let authority: Authority;
let client: Certificate;
let other: Certificate;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'worktide-kafka-url-'));
  authority = await makeAuthority(dir);
  client = await authority.issue('client', ['DNS:client']);
  other = await authority.issue('other', ['DNS:other']);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

function problemOf(url: string): string {
  try {
    parseKafkaUrl(url);
  } catch (error) {
    expect(error).toMatchObject({ code: 'BAD_CONFIGURATION' });
    return (error as Error).message.replace(/^Bad configuration:\n {2}event log URL: /, '');
  }
  throw new Error('it was taken');
}

test('without security: as ever', () => {
  expect(parseKafkaUrl('kafka://a:9092,b.example:9093?prefix=t1-')).toEqual({
    brokers: ['a:9092', 'b.example:9093'],
    prefix: 't1-',
    security: {},
  });
});

test('kafkas is TLS; a user is SCRAM-SHA-512 unless said', () => {
  expect(parseKafkaUrl('kafkas://a:9093').security).toEqual({ tls: {} });
  const sasl = { mechanism: 'scram-sha-512', username: 'u', password: 'p' };
  expect(parseKafkaUrl('kafkas://u:p@a:9093,b:9093/').security).toEqual({ tls: {}, sasl });
  for (const mechanism of ['plain', 'scram-sha-256', 'scram-sha-512']) {
    const { security } = parseKafkaUrl(`kafkas://u:p@a:9093?sasl=${mechanism}`);
    expect(security).toEqual({ tls: {}, sasl: { ...sasl, mechanism } });
  }
});

test('without TLS a password goes by SCRAM, or in clear where that is said', () => {
  expect(parseKafkaUrl('kafka://u:p@a:9092').security.sasl?.mechanism).toBe('scram-sha-512');
  expect(problemOf('kafka://u:p@a:9092?sasl=plain')).toContain('in clear');
  expect(problemOf('kafka://u:p@a:9092?sasl=plain&passwordInClear=false')).toContain('in clear');
  expect(parseKafkaUrl('kafka://u:p@a:9092?sasl=plain&passwordInClear=true').security.sasl?.mechanism).toBe('plain');
});

test('a client certificate is read from its files', () => {
  const { security } = parseKafkaUrl(`kafkas://a:9093?cert=${client.cert}&key=${encodeURIComponent(client.key)}`);
  expect(String(security.tls?.cert)).toContain('BEGIN CERTIFICATE');
  expect(String(security.tls?.key)).toContain('PRIVATE KEY');
});

test('any user and any password come through, percent-encoded', () => {
  const text = fc.string({ unit: 'grapheme', minLength: 1 });
  fc.assert(
    fc.property(text, text, (username, password) => {
      const url = `kafkas://${encodeURIComponent(username)}:${encodeURIComponent(password)}@a:1,b:2`;
      const { brokers, security } = parseKafkaUrl(url);
      expect(brokers).toEqual(['a:1', 'b:2']);
      expect(security.sasl).toMatchObject({ username, password });
    }),
  );
});

test('a password that is not encoded is taken as it is, or refused without a word of it', () => {
  // Whatever the URL then seems to be made of: brokers, parameters, a fragment.
  const fragments = fc.constantFrom(...'@:/?#[]%&+ "\'$x,=;\\', 'secret', '12');
  const password = fc.array(fragments, { minLength: 1, maxLength: 8 }).map((parts) => `secret${parts.join('')}`);
  fc.assert(
    fc.property(password, (word) => {
      try {
        expect(parseKafkaUrl(`kafkas://u:${word}@a:9093?sasl=plain`).security.sasl?.password).toBe(
          decodeURIComponent(word),
        );
      } catch (error) {
        expect(error).toMatchObject({ code: 'BAD_CONFIGURATION' });
        expect((error as Error).message).not.toContain('secret');
      }
    }),
    { numRuns: 2_000 },
  );
});

describe('wrong combinations say what is wrong', () => {
  test.each([
    ['kafkas://', 'a broker is host:port'],
    ['kafkas://a', 'a broker is host:port'],
    ['kafkas://a:9093,', 'a broker is host:port'],
    ['kafkas://[::1]:9093', 'a broker is host:port'],
    ['kafkas://u@a:9093', 'a user needs a password, and a password a user'],
    ['kafkas://u:@a:9093', 'a user needs a password, and a password a user'],
    ['kafkas://:p@a:9093', 'a user needs a password, and a password a user'],
    ['kafkas://u:p%@a:9093', 'percent-encoded'],
    ['kafkas://u:p@q@a:9093', 'percent-encoded'],
    ['kafkas://u:1?p@a:9093', 'percent-encoded'],
    ['kafkas://a:9093?sasl=plain', 'sasl needs user and password'],
    ['kafkas://u:p@a:9093?sasl=gssapi', 'sasl is one of plain, scram-sha-256, scram-sha-512'],
    ['kafkas://u:p@a:9093?sasl=', 'sasl is one of'],
    ['kafkas://a:9093?cert=/tmp/x', 'cert needs key, and key cert'],
    ['kafkas://a:9093?key=/tmp/x', 'cert needs key, and key cert'],
    ['kafkas://a:9093?cert=/no/such&key=/no/such', 'ENOENT'],
    ['kafka://a:9092?cert=/tmp/x&key=/tmp/y', 'a client certificate needs TLS: kafkas://'],
    ['kafkas://u:p@a:9093?passwordInClear=yes', 'passwordInClear is true or false'],
    ['kafkas://u:p@a:9093?tls=true', 'unknown parameter tls'],
    ['kafkas://a:9093?prefix=a&prefix=b', 'a parameter is there twice'],
    ['kafkas://a:9093?prefix=%20', 'prefix may hold'],
  ])('%s', (url, problem) => {
    expect(problemOf(url)).toContain(problem);
  });

  test('a certificate and a key that do not belong together, a key that is encrypted', () => {
    expect(problemOf(`kafkas://a:1?cert=${client.cert}&key=${other.key}`)).toContain('cannot be used together');
    expect(problemOf(`kafkas://a:1?cert=${client.key}&key=${client.key}`)).toContain('cannot be used together');
    const locked = path.join(dir, 'locked.key');
    execFileSync('openssl', ['pkcs8', '-topk8', '-in', client.key, '-passout', 'pass:x', '-out', locked]);
    expect(problemOf(`kafkas://a:1?cert=${client.cert}&key=${locked}`)).toContain('cannot be used together');
  });
});
