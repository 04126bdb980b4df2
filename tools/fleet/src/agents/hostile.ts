import type { WirePing } from '../oracle/ledger.ts';
import type { Random } from '../random.ts';
import { type Expected, type PingRequest, pingRequest, type Script } from './uploads.ts';
import type { Worker } from './worker.ts';

const dayMs = 24 * 3_600_000;

/** A ping with something wrong, and the code that must name it. Limits are those of docs/rules.md. */
type Spoiled = { name: string; code: string; spoil: (ping: WirePing, now: number) => unknown };

const iso = (ms: number): string => new Date(ms).toISOString();

const spoiledPings: readonly Spoiled[] = [
  { name: 'not an object', code: 'NOT_A_PING', spoil: () => 7 },
  { name: 'null', code: 'NOT_A_PING', spoil: () => null },
  { name: 'no id', code: 'MISSING_FIELD', spoil: ({ id: _, ...rest }) => rest },
  { name: 'an id that is none', code: 'INVALID_ID', spoil: (p) => ({ ...p, id: 'one' }) },
  { name: 'no app', code: 'MISSING_FIELD', spoil: ({ app: _, ...rest }) => rest },
  { name: 'app of a wrong type', code: 'WRONG_TYPE', spoil: (p) => ({ ...p, app: { name: 'Code' } }) },
  { name: 'time as a number', code: 'WRONG_TYPE', spoil: (p) => ({ ...p, startedAt: Date.parse(p.startedAt) }) },
  { name: 'time in words', code: 'INVALID_TIME', spoil: (p) => ({ ...p, endedAt: 'yesterday' }) },
  { name: 'the 30th of February', code: 'INVALID_TIME', spoil: (p) => ({ ...p, startedAt: '2026-02-30T00:00:00Z' }) },
  { name: 'an unknown state', code: 'INVALID_STATE', spoil: (p) => ({ ...p, state: 'asleep' }) },
  { name: 'empty app', code: 'APP_EMPTY', spoil: (p) => ({ ...p, app: '' }) },
  { name: 'long app', code: 'APP_TOO_LONG', spoil: (p) => ({ ...p, app: 'x'.repeat(257) }) },
  { name: 'title of a wrong type', code: 'WRONG_TYPE', spoil: (p) => ({ ...p, title: 7 }) },
  { name: 'long device', code: 'INVALID_DEVICE_ID', spoil: (p) => ({ ...p, deviceId: 'x'.repeat(129) }) },
  { name: 'U+0000', code: 'INVALID_TEXT', spoil: (p) => ({ ...p, source: 'a\u0000b' }) },
  { name: 'half a surrogate pair', code: 'INVALID_TEXT', spoil: (p) => ({ ...p, app: 'a\ud83d' }) },
  {
    name: 'end before start',
    code: 'END_BEFORE_START',
    spoil: (p) => ({ ...p, endedAt: iso(Date.parse(p.startedAt) - 1) }),
  },
  {
    name: 'longer than a day',
    code: 'TOO_LONG',
    spoil: (p, now) => ({ ...p, startedAt: iso(now - 2 * dayMs), endedAt: iso(now - dayMs + 1) }),
  },
  {
    name: 'too old',
    code: 'TOO_OLD',
    spoil: (p, now) => ({ ...p, startedAt: iso(now - 91 * dayMs), endedAt: iso(now - 91 * dayMs) }),
  },
  {
    name: 'in the future',
    code: 'IN_FUTURE',
    spoil: (p, now) => ({ ...p, startedAt: iso(now), endedAt: iso(now + 10 * 60_000) }),
  },
];

/** What makes no ping bad, and the warning that is due for it. A URL that is left out says no host. */
const oddities: readonly { odd: Record<string, unknown>; code?: string }[] = [
  { odd: { title: null, projectId: null, timeEntryId: '' } },
  { odd: { title: 'x'.repeat(1025) }, code: 'TITLE_TOO_LONG' },
  { odd: { title: 'a\ud83d' }, code: 'INVALID_TEXT' },
  { odd: { title: 'a\u0000b' }, code: 'INVALID_TEXT' },
  { odd: { url: '' } },
  { odd: { url: null } },
  { odd: { url: `https://e.com/${'x'.repeat(2048)}` }, code: 'URL_TOO_LONG' },
  { odd: { url: '/inbox' }, code: 'INVALID_URL' },
  { odd: { url: 'javascript:alert(1)' }, code: 'URL_SCHEME_REFUSED' },
  { odd: { url: 'data:text/html,x' }, code: 'URL_SCHEME_REFUSED' },
];

export interface HostileOptions {
  /** Makes the good pings that come along with the bad ones. */
  worker: Worker;
  random: Random;
}

/**
 * An agent that sends what must be refused, and says for each request exactly how. Good pings of the same request
 * must be kept, so they are in the ledger like any others.
 */
export function createHostile({ worker, random }: HostileOptions): Script {
  const refusal = (status: number, ...codes: string[]): Expected => ({ status, codes });

  /** Some good pings, and between them some that are spoiled, each to be named by index and code. */
  function mixed(): PingRequest {
    const rejected = new Map<number, string>();
    const items: (WirePing | undefined)[] = [];
    const values: unknown[] = [];
    const good = worker.nextActivity();
    const bad = Array.from({ length: random.int(1, 5) }, () => random.pick(spoiledPings));
    const slots = random.shuffled([...good.map((ping) => ({ ping, how: undefined })), ...bad.map((how) => ({ how }))]);
    for (const slot of slots) {
      if (slot.how) rejected.set(items.length, slot.how.code);
      items.push(slot.how ? undefined : slot.ping);
      values.push(slot.how ? slot.how.spoil(good[0]!, Date.now()) : slot.ping);
    }
    const lines = random.chance(0.4);
    return {
      attack: `bad among good (${bad.map((b) => b.name).join(', ')})`,
      body: lines ? values.map((v) => JSON.stringify(v)).join('\n') : JSON.stringify(values),
      contentType: lines ? 'application/x-ndjson' : 'application/json',
      items,
      expected: { status: 202, rejected },
    };
  }

  /** Good pings with something beside the time that cannot be kept as it is. */
  function odd(): PingRequest {
    const warnings = new Map<number, string>();
    const values: unknown[] = [];
    const items = worker.nextActivity().map((ping, i) => {
      const { odd: odds, code } = random.pick(oddities);
      values.push({ ...ping, ...odds });
      if (code) warnings.set(i, code);
      const { url: _, ...withoutUrl } = ping;
      return 'url' in odds ? withoutUrl : ping;
    });
    return {
      attack: 'odd titles and URLs',
      body: JSON.stringify(values),
      contentType: 'application/json',
      items,
      expected: { status: 202, rejected: new Map(), warnings },
    };
  }

  /** Nothing good: 400, with the one code where the pings agree. */
  function onlyBad(): PingRequest {
    const [ping] = worker.nextActivity();
    const how = random.pick(spoiledPings);
    const value = how.spoil(ping!, Date.now());
    return {
      attack: `one bad ping (${how.name})`,
      body: JSON.stringify(random.chance(0.5) ? [value] : value),
      contentType: 'application/json',
      items: [undefined],
      expected: refusal(400, how.code),
    };
  }

  /** The connection of an agent broke in the middle of a line. */
  function cutOff(): PingRequest {
    const good = worker.nextActivity();
    const lines = good.map((ping) => JSON.stringify(ping));
    return {
      attack: 'a line cut off',
      body: [...lines, lines[0]!.slice(0, random.int(1, lines[0]!.length - 1))].join('\n'),
      contentType: 'application/x-ndjson',
      items: [...good, undefined],
      expected: { status: 202, rejected: new Map([[good.length, 'MALFORMED_JSON']]) },
    };
  }

  /** Refused as a whole, whatever is in it. */
  function whole(attack: string, body: string, expected: Expected, contentType = 'application/json'): PingRequest {
    return { attack, body, contentType, items: [undefined], expected };
  }

  function unknownCaller(): PingRequest {
    const body = JSON.stringify(worker.nextActivity());
    const uuid = random.uuidv7(Date.now());
    const wrong = [
      null,
      `Bearer waka_${uuid}`,
      'Bearer x',
      `Basic ${btoa(`waka_${uuid}:`)}`,
      `Bearer ${'x'.repeat(4000)}`,
    ];
    const authorization = random.pick(wrong);
    return { ...whole('a wrong credential', body, refusal(401, 'UNAUTHORIZED')), authorization };
  }

  function tooMany(): PingRequest {
    const [ping] = worker.nextActivity();
    const pings = Array.from({ length: 1001 }, () => ping);
    return whole('1,001 pings', JSON.stringify(pings), refusal(413, 'TOO_MANY_PINGS'));
  }

  const attacks: readonly (() => PingRequest[])[] = [
    () => [mixed()],
    () => [mixed()],
    () => [mixed()],
    () => [odd()],
    () => [onlyBad()],
    () => [onlyBad()],
    () => [cutOff()],
    () => [unknownCaller()],
    () => [tooMany()],
    () => [whole('malformed JSON', '[{"id": ', refusal(400, 'MALFORMED_JSON'))],
    () => [whole('no items', '[]', refusal(400, 'EMPTY_REQUEST'))],
    () => [whole('an empty body', '', refusal(400, 'MALFORMED_JSON', 'EMPTY_REQUEST'))],
    () => [whole('a megabyte of nesting', '['.repeat(900_000), refusal(400, 'MALFORMED_JSON'))],
    () => [whole('deep nesting', '['.repeat(90_000) + ']'.repeat(90_000), refusal(400, 'PING_TOO_LARGE'))],
    () => [whole('two megabytes', JSON.stringify('x'.repeat(2_000_000)), refusal(413, 'BODY_TOO_LARGE'))],
    () => [whole('plain text', '[]', refusal(415, 'UNSUPPORTED_MEDIA_TYPE'), 'text/plain')],
    // A flood: good pings, far more at once than an agent would; 503 and 429 are answers to it, and are asked again.
    () => Array.from({ length: 100 }, () => pingRequest(worker.nextActivity(), random)),
  ];

  return { next: () => random.pick(attacks)(), rest: () => [] };
}
