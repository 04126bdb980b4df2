import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import {
  type Authority,
  type Certificate,
  type Engine,
  freePort,
  makeAuthority,
  setKafkaPassword,
  startKafka,
} from '@worktide/backends';
import { createLogger, createMetrics, describeError } from '@worktide/runtime';
import { eventually } from '@worktide/testing';
import { consumingContract } from '../contract/consuming.ts';
import { collect, day, logFixture, numbered, partitions, sorted, texts, upTo } from '../contract/fixture.ts';
import { producingContract } from '../contract/producing.ts';
import { openEventLog } from '../open.ts';
import type { EventLog } from '../types.ts';

const password = 'p@ss:/?#[]%&+ "\'$x,=;\\';
const encoded = encodeURIComponent(password);

let dir: string;
let authority: Authority;
let client: Certificate;
let broker: Engine;
let passwordPort: number;
let certificatePort: number;
const trusted = tls.getCACertificates('default');

/** What NODE_EXTRA_CA_CERTS does at the start of a process (tests/src/tls), here for the rest of this one. */
const trust = async (file: string): Promise<void> =>
  tls.setDefaultCACertificates([...trusted, await readFile(file, 'utf8')]);

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'worktide-secured-'));
  authority = await makeAuthority(path.join(dir, 'authority'));
  client = await authority.issue('client', ['DNS:client']);
  passwordPort = await freePort();
  certificatePort = await freePort();
  broker = await startKafka({
    dir: path.join(dir, 'kafka'),
    security: {
      certificate: await authority.issue('broker', ['DNS:localhost']),
      clientAuthority: authority.cert,
      passwordPort,
      certificatePort,
      users: { worktide: password },
    },
  });
  await trust(authority.cert);
});
afterAll(async () => {
  tls.setDefaultCACertificates(trusted);
  await broker?.kill9();
  await rm(dir, { recursive: true, force: true });
});

const opened: EventLog[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((log) => log.close()));
});

/** A log with the lines that it writes. */
function open(url: string): { log: EventLog; lines: string[] } {
  const lines: string[] = [];
  const destination = { write: (line: string) => void lines.push(line) };
  const log = openEventLog(url, {
    clientId: 'secured',
    log: createLogger({ service: 'secured', level: 'debug', destination }),
    metrics: createMetrics(),
  });
  opened.push(log);
  return { log, lines };
}

const byPassword = (query = ''): string => `kafkas://worktide:${encoded}@localhost:${passwordPort}${query}`;
const byCertificate = (): string =>
  `kafkas://localhost:${certificatePort}?cert=${encodeURIComponent(client.cert)}&key=${encodeURIComponent(client.key)}`;

describe('the contract by TLS and SCRAM-SHA-512, logging in anew every two seconds', () => {
  const setUp = logFixture(async () => byPassword());
  producingContract(setUp);
  consumingContract(setUp);
});

describe('every way in writes and reads', () => {
  test.each([
    ['PLAIN', () => byPassword('?sasl=plain&prefix=plain-')],
    ['SCRAM-SHA-256', () => byPassword('?sasl=scram-sha-256&prefix=scram256-')],
    ['SCRAM-SHA-512', () => byPassword('?sasl=scram-sha-512&prefix=scram512-')],
    ['a client certificate', () => `${byCertificate()}&prefix=certificate-`],
  ])('%s', async (_name, url) => {
    const { log } = open(url());
    await log.check();
    await log.admin.ensureTopics([{ name: 'events', partitions, retentionMs: day }]);
    await log.producer().send('events', numbered(100));
    const { records } = await collect(log);
    await eventually(() => expect(records).toHaveLength(100));
    expect(sorted(texts(records))).toEqual(upTo(100));
  });
});

describe('what is not right is refused, and says why', () => {
  const cases: [string, () => string, RegExp][] = [
    ['another name than the certificate has', () => byPassword().replace('localhost', '127.0.0.1'), /altnames/],
    ['a wrong password', () => `kafkas://worktide:wrong@localhost:${passwordPort}`, /authentication failed/i],
    ['a wrong password, PLAIN', () => `kafkas://a:b@localhost:${passwordPort}?sasl=plain`, /authentication failed/i],
    ['no password', () => `kafkas://localhost:${passwordPort}`, /Closed connection/],
    ['no TLS', () => byPassword().replace('kafkas', 'kafka'), /Closed connection/],
    ['TLS where there is none', () => byPassword().replace(`${passwordPort}`, new URL(broker.url).port), /TLS/],
    ['no client certificate', () => `kafkas://localhost:${certificatePort}`, /alert (bad )?certificate/],
  ];
  test.each(cases)('%s', async (_name, url, reason) => {
    const { log, lines } = open(url());
    const error = await log.check().then(
      () => undefined,
      (failure: unknown) => failure,
    );
    expect(error).toMatchObject({ statusCode: 503, message: expect.stringContaining('event log') });
    expect(describeError(error)).toMatch(reason);
    expect(lines.join('')).not.toContain(encoded);
    expect(lines.map((line) => JSON.stringify(JSON.parse(line))).join('')).not.toContain(JSON.stringify(password));
  });

  test('an authority that nobody trusts', async () => {
    const stranger = await makeAuthority(path.join(dir, 'stranger'));
    await trust(stranger.cert);
    try {
      const { log } = open(byPassword());
      const error: unknown = await log.check().catch((failure: unknown) => failure);
      expect(error).toMatchObject({ statusCode: 503, message: expect.stringContaining('event log') });
      expect(describeError(error)).toMatch(/unable to verify|self-signed/);
    } finally {
      await trust(authority.cert);
    }
  });
});

describe('what becomes right is taken without a restart of ours', () => {
  /** A log that was opened before it could work, with a consumer and a producer that have tried. */
  async function openBefore(url: string, reason: RegExp) {
    const { log, lines } = open(url);
    const { records, consumer } = await collect(log);
    const producer = log.producer();
    await expect(producer.send('events', numbered(1))).rejects.toMatchObject({ statusCode: 503 });
    await eventually(() => {
      const said = lines
        .map((line) => JSON.parse(line))
        .filter(({ level, group }) => level === 'warn' && group === 'group');
      expect(said.length).toBeGreaterThan(0);
      expect(JSON.stringify(said.at(-1).err)).toMatch(reason);
    });
    expect(() => consumer.check()).toThrow(expect.objectContaining({ statusCode: 503 }));
    return { log, lines, producer, consumer, records };
  }

  async function makeTopic(prefix: string): Promise<void> {
    await open(`${broker.url}?prefix=${prefix}`).log.admin.ensureTopics([
      { name: 'events', partitions, retentionMs: day },
    ]);
  }

  async function worksNow({ log, producer, consumer, records }: Awaited<ReturnType<typeof openBefore>>): Promise<void> {
    await eventually(() => log.check());
    await eventually(() => producer.send('events', numbered(10)));
    await eventually(() => expect(new Set(texts(records)).size).toBe(10));
    consumer.check();
  }

  test('a password', async () => {
    await makeTopic('late-');
    const url = `kafkas://late:letmein@localhost:${passwordPort}?prefix=late-`;
    const before = await openBefore(url, /authentication failed/i);
    await setKafkaPassword(Number(new URL(broker.url).port), 'late', 'letmein');
    await worksNow(before);
    expect(before.lines.join('')).not.toContain('letmein');
  });

  test('an authority', async () => {
    await makeTopic('trust-');
    tls.setDefaultCACertificates(trusted);
    const before = await openBefore(byPassword('?prefix=trust-'), /unable to verify|self-signed/);
    await trust(authority.cert);
    await worksNow(before);
  });
});
