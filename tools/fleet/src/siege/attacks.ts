import { randomUUID } from 'node:crypto';
import { crc32, deflateSync, gzipSync } from 'node:zlib';
import type { Account } from '../accounts.ts';
import type { Origins } from '../options.ts';
import type { Shot } from './sender.ts';

/** One way to take what belongs to all, at a bounded rate. */
export interface Attack {
  name: string;
  /** Whose doing it is: an organisation of its own, but for those that go on where another began. */
  by: number;
  /** Requests in the air at once. */
  parallel: number;
  /** Ms from one request to the next of each of them. */
  everyMs: number;
  origin: (origins: Origins) => string;
  /** The n-th request, or none any more. */
  shot: (attacker: Account, n: number) => Shot | undefined;
  /** Answers that are right, `cut` among them; all others are complaints. 429 and 503 that say when to come back always are. */
  answers: RegExp;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const iso = (ms: number): string => new Date(ms).toISOString();
const json = 'application/json';

const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });
const keyOf = (attacker: Account): Record<string, string> => bearer(attacker.devices[0]!.agentKey);

function pings(attacker: Account, items: unknown[]): Shot {
  const headers = { ...keyOf(attacker), 'content-type': json };
  return { method: 'POST', path: '/api/v1/pings', headers, body: JSON.stringify(items) };
}

function ping(startedAt: number, endedAt: number, more: object = {}): object {
  return { id: randomUUID(), startedAt: iso(startedAt), endedAt: iso(endedAt), app: 'Siege', ...more };
}

/** A loopback address for the n-th of many attackers; Linux answers for all of 127/8. */
const addressOf = (n: number): string => `127.77.${(n >> 8) & 255}.${1 + (n & 127)}`;

function pngChunk(name: string, data: Buffer): Buffer {
  const chunk = Buffer.alloc(12 + data.length);
  chunk.writeUInt32BE(data.length, 0);
  chunk.write(name, 4, 'latin1');
  data.copy(chunk, 8);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, 8 + data.length)), 8 + data.length);
  return chunk;
}

/** A lawful picture that is small on the wire and large to look at: one colour, grey. */
function largePicture(width: number, height: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 8;
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    pngChunk('IHDR', header),
    pngChunk('IDAT', deflateSync(Buffer.alloc((width + 1) * height))),
    pngChunk('IEND', Buffer.alloc(0)),
  ]);
}

const boundary = 'siege-boundary';
const multipart = `multipart/form-data; boundary=${boundary}`;
const partHead = `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="screen.png"\r\ncontent-type: image/png\r\n\r\n`;

function upload(attacker: Account, file: Buffer): Shot {
  const body = Buffer.concat([Buffer.from(partHead), file, Buffer.from(`\r\n--${boundary}--\r\n`)]);
  const headers = { ...keyOf(attacker), 'content-type': multipart };
  return { method: 'POST', path: '/api/v1/sync/screenshots', headers, body };
}

/** A kilobyte of gzip that is a megabyte of one lawful ping, nearly all of it white space or a field to be ignored. */
function bomb(): Buffer {
  const text = JSON.stringify(ping(Date.now() - hourMs, Date.now() - hourMs, { ignored: 'x'.repeat(970_000) }));
  return gzipSync(text, { level: 9 });
}

/** Names that are long in bytes: 128 code points outside the basic plane. */
const longName = (n: number): string => '😀'.repeat(120) + String(n);

const shortEntries = 36_000;
let picture: Buffer | undefined;

export const attacks: readonly Attack[] = [
  {
    name: 'bodies that stall',
    by: 0,
    parallel: 40,
    everyMs: 100,
    origin: ({ ingest }) => ingest[0]!,
    shot: (attacker) => ({
      ...pings(attacker, []),
      body: '[{"id":',
      announced: 1_000_000,
    }),
    answers: /^(408 REQUEST_TOO_SLOW|cut)$/,
  },
  {
    name: 'bodies that trickle',
    by: 1,
    parallel: 40,
    everyMs: 100,
    origin: ({ ingest }) => ingest[0]!,
    shot: (attacker) => ({ ...pings(attacker, []), body: '[', announced: 1_000_000, trickleMs: 500 }),
    answers: /^(408 REQUEST_TOO_SLOW|cut)$/,
  },
  {
    name: 'uploads that trickle',
    by: 2,
    parallel: 16,
    everyMs: 500,
    origin: ({ ingest }) => ingest[0]!,
    shot: (attacker) => ({
      ...upload(attacker, Buffer.alloc(0)),
      body: `${partHead}\x89PNG\r\n\x1a\n`,
      announced: 5_000_000,
      trickleMs: 500,
    }),
    answers: /^(408 REQUEST_TOO_SLOW|400 \w+|415 UNSUPPORTED_PICTURE|cut)$/,
  },
  {
    name: 'addresses that grow',
    by: 3,
    parallel: 1,
    everyMs: 1_000,
    origin: ({ ingest }) => ingest[0]!,
    shot(attacker) {
      const url = `http://u@e.example/${'😀'.repeat(1_400)}`;
      const at = Date.now() - hourMs;
      return pings(
        attacker,
        Array.from({ length: 150 }, (_, i) => ping(at + i, at + i, { url })),
      );
    },
    answers: /^202$/,
  },
  {
    name: 'many short entries, then a day over all of them',
    by: 4,
    parallel: 1,
    everyMs: 200,
    origin: ({ ingest }) => ingest[0]!,
    shot(attacker, n) {
      const from = Date.now() - 2 * dayMs;
      if (n * 200 > shortEntries) return undefined;
      if (n * 200 === shortEntries) return pings(attacker, [ping(from, from + dayMs, { app: '!' })]);
      const items = Array.from({ length: 200 }, (_, i) => {
        const at = from + (n * 200 + i) * 2_000;
        return ping(at, at + 1_000, { app: longName(i % 7) });
      });
      return pings(attacker, items);
    },
    answers: /^202$/,
  },
  {
    name: 'days over what is full, again and again',
    by: 4,
    parallel: 2,
    everyMs: 100,
    origin: ({ ingest }) => ingest[0]!,
    shot(attacker, n) {
      const from = Date.now() - 10 * dayMs;
      const device = { deviceId: 'full' };
      // They say nothing new: to see that takes a look at all that is there.
      if (n > 25) return pings(attacker, [ping(from, from + dayMs, { app: 'zzz', ...device })]);
      const items = Array.from({ length: 1_000 }, (_, i) => {
        const at = from + (n * 1_000 + i) * 2_000;
        return ping(at, at + 1_000, { app: `app ${i % 7}`, ...device });
      });
      return pings(attacker, items);
    },
    answers: /^202$/,
  },
  {
    name: 'kilobytes that are megabytes',
    by: 5,
    parallel: 4,
    everyMs: 250,
    origin: ({ ingest }) => ingest[0]!,
    shot: (attacker) => ({
      ...pings(attacker, []),
      headers: { ...keyOf(attacker), 'content-type': json, 'content-encoding': 'gzip' },
      body: bomb(),
    }),
    answers: /^(202|400 PING_TOO_LARGE)$/,
  },
  {
    name: 'devices without end',
    by: 6,
    parallel: 1,
    everyMs: 1_000,
    origin: ({ ingest }) => ingest[0]!,
    shot(attacker, n) {
      const at = Date.now() - hourMs;
      return pings(
        attacker,
        Array.from({ length: 500 }, (_, i) => ping(at, at, { deviceId: `device ${n} ${i}` })),
      );
    },
    answers: /^(202|400 TOO_MANY_DEVICES)$/,
  },
  {
    name: 'lists of them all',
    by: 6,
    parallel: 8,
    everyMs: 200,
    origin: ({ usage }) => usage,
    shot: (attacker) => ({
      method: 'GET',
      path: `/api/v1/usage?from=${iso(Date.now() - 80 * dayMs)}&to=${iso(Date.now())}&limit=500`,
      headers: bearer(attacker.bearer),
    }),
    answers: /^200$/,
  },
  {
    name: 'erasing everything, again and again',
    by: 6,
    parallel: 2,
    everyMs: 500,
    origin: ({ usage }) => usage,
    shot: (attacker, n) => ({
      method: 'DELETE',
      path: `/api/v1/usage?from=${iso(Date.now() - 80 * dayMs + n)}&to=${iso(Date.now() - n)}`,
      headers: bearer(attacker.bearer),
    }),
    answers: /^(202|409 \w+)$/,
  },
  {
    name: 'keys that nobody has',
    by: 7,
    parallel: 20,
    everyMs: 100,
    origin: ({ ingest }) => ingest[0]!,
    shot: (attacker, n) => ({
      ...pings(attacker, [ping(Date.now(), Date.now())]),
      headers: { ...bearer(`waka_${randomUUID()}`), 'content-type': json },
      from: addressOf(n % 4),
    }),
    answers: /^401 UNAUTHORIZED$/,
  },
  {
    name: 'log-ins from eighty addresses',
    by: 8,
    parallel: 20,
    everyMs: 200,
    origin: ({ auth }) => auth,
    shot: (_, n) => ({
      method: 'POST',
      path: '/api/v1/auth/login',
      headers: { 'content-type': json },
      body: JSON.stringify({ email: `nobody-${n}@example.com`, password: 'wrong wrong wrong' }),
      from: addressOf(n % 80),
    }),
    answers: /^401 \w+$/,
  },
  {
    name: 'reports of a year',
    by: 9,
    parallel: 12,
    everyMs: 100,
    origin: ({ reports }) => reports,
    shot: (attacker, n) => ({
      method: 'GET',
      path: `/api/v1/reports/daily?from=${iso(Date.now() - (360 - (n % 50)) * dayMs).slice(0, 10)}&to=${iso(Date.now()).slice(0, 10)}&timezone=Asia/Kathmandu`,
      headers: bearer(attacker.bearer),
    }),
    answers: /^200$/,
  },
  {
    name: 'large pictures',
    by: 10,
    parallel: 2,
    everyMs: 1_000,
    origin: ({ ingest }) => ingest[0]!,
    shot(attacker) {
      picture ??= largePicture(7_000, 5_000);
      return upload(attacker, picture);
    },
    answers: /^(202|400 \w+|415 \w+)$/,
  },
];

/** Organisations that the attacks need. */
export const attackersNeeded = 1 + Math.max(...attacks.map(({ by }) => by));
