import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createFakeScreenshots, type ShotTreatment } from './fake-screenshots.ts';
import { createLedger, type WirePing } from './oracle/ledger.ts';
import { dayReport } from './oracle/reports.ts';

/** What becomes of one `POST /pings`. */
export type Fate =
  | 'take'
  /** Refused for now, nothing stored. */
  | 'refuse'
  /** Connection broken, nothing stored. */
  | 'break'
  /** Stored, and then the connection broken: the agent cannot know. */
  | 'take and break'
  /** Stored, and then half an answer. */
  | 'take and cut'
  /** Stored, and then 503, as a broker's time-out looks. */
  | 'take and refuse'
  /** Acknowledged without being stored: what the fleet is there to find. */
  | 'lose'
  /** Refused as invalid although it is lawful. */
  | 'reject';

export interface FakeProduct {
  url: string;
  /** Requests to `/pings` so far. */
  requests: number;
  close(): Promise<void>;
}

const iso = (ms: number): string => new Date(ms).toISOString();

const bodyOf = async (req: IncomingMessage): Promise<string> => (await bytesOf(req)).toString('utf8');

async function bytesOf(req: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of req) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/**
 * For tests of the fleet's own accounting only: an HTTP server that shows what it has stored, merged by the fleet's
 * own rule, and treats each request as the test says.
 */
export async function startFakeProduct(
  fateOf: (request: number) => Fate,
  treatmentOf: (screenshot: number) => ShotTreatment = () => 'take',
): Promise<FakeProduct> {
  const stored = createLedger();
  const credentials = new Map<string, { userId: string; deviceId: string; timezone: string }>();
  const product = { url: '', requests: 0 };
  let users = 0;
  const reply = (res: ServerResponse, status: number, body: unknown, headers = {}): void =>
    void res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
  const error = (res: ServerResponse, status: number, code: string, headers = {}): void =>
    reply(res, status, { statusCode: status, code, message: code, requestId: 'r' }, headers);

  const screenshots = createFakeScreenshots(reply, treatmentOf);

  async function takePings(req: IncomingMessage, res: ServerResponse, who: { userId: string; deviceId: string }) {
    const text = await bodyOf(req);
    const lines = req.headers['content-type'] === 'application/x-ndjson';
    const parsed: unknown = lines
      ? text
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line))
      : JSON.parse(text);
    const pings = (Array.isArray(parsed) ? parsed : [parsed]) as WirePing[];
    const fate = fateOf(product.requests++);
    if (fate === 'refuse') return error(res, 429, 'TOO_MANY_REQUESTS', { 'retry-after': '1' });
    if (fate === 'reject') return error(res, 400, 'INVALID_URL');
    if (fate === 'break') return req.socket.destroy();
    if (fate !== 'lose') for (const ping of pings) stored.acknowledge(who.userId, who.deviceId, ping);
    if (fate === 'take and break') return req.socket.destroy();
    if (fate === 'take and refuse') return error(res, 503, 'DEPENDENCY_UNAVAILABLE');
    if (fate === 'take and cut') {
      res.writeHead(202, { 'content-length': '1000' }).write('{"accepted": ');
      return setImmediate(() => req.socket.destroy());
    }
    reply(res, 202, { accepted: pings.length, rejected: [] });
  }

  function read(url: URL, res: ServerResponse, who: { userId: string; timezone: string }): void {
    const entries = stored.entries(who.userId);
    const query = (name: string): string => url.searchParams.get(name) ?? '';
    const report = () => dayReport(entries, query('date'), who.timezone);
    const items = (shares: ReadonlyMap<string, number>, name: string) =>
      [...shares].map(([member, seconds]) => ({ [name]: member, seconds })).sort((a, b) => b.seconds - a.seconds);
    const common = { date: query('date'), timezone: who.timezone };
    if (url.pathname === '/api/v1/usage') {
      const from = Number(query('cursor') || 0);
      const page = entries.slice(from, from + 50).map(({ key, startedAt, endedAt, ...e }, i) => ({
        ...{ id: `${from + i}`, userId: who.userId, ...e, ...key },
        ...{ startedAt: iso(startedAt), endedAt: iso(endedAt), seconds: Math.round((endedAt - startedAt) / 1000) },
      }));
      reply(res, 200, { items: page, nextCursor: from + 50 < entries.length ? String(from + 50) : null });
    } else if (url.pathname === '/api/v1/reports/daily') {
      const days = new Set<string>();
      for (let ms = Date.parse(query('from')); ms <= Date.parse(query('to')); ms += 86_400_000) {
        days.add(iso(ms).slice(0, 10));
      }
      reply(res, 200, { items: [...days].map((date) => dayReport(entries, date, who.timezone)) });
    } else if (url.pathname === '/api/v1/reports/organization' || url.pathname === '/api/v1/reports/team') {
      const totals = { workSeconds: 0, activeSeconds: 0, idleSeconds: 0 };
      for (let ms = Date.parse(query('from')); ms <= Date.parse(query('to')); ms += 86_400_000) {
        const day = dayReport(entries, iso(ms).slice(0, 10), who.timezone);
        for (const field of ['workSeconds', 'activeSeconds', 'idleSeconds'] as const) totals[field] += day[field];
      }
      const team = { items: [{ userId: who.userId, ...totals }], nextCursor: null };
      reply(res, 200, url.pathname.endsWith('/team') ? team : { totals });
    } else if (url.pathname === '/api/v1/reports/apps') {
      reply(res, 200, { ...common, totalSeconds: report().activeSeconds, items: items(report().apps, 'app') });
    } else {
      reply(res, 200, { ...common, totalSeconds: report().hostSeconds, items: items(report().hosts, 'host') });
    }
  }

  const server = createServer(async (req, res) => {
    const url = new URL(req.url ?? '/', 'http://fake');
    const who = credentials.get(req.headers.authorization ?? '');
    if (url.pathname === '/api/v1/auth/register') {
      const { timezone } = JSON.parse(await bodyOf(req)) as { timezone: string };
      const userId = `user-${++users}`;
      credentials.set(`Bearer token-${userId}`, { userId, deviceId: '', timezone });
      const user = { id: userId, timezone };
      return reply(res, 201, { user, organization: { id: `org-${users}` }, accessToken: `token-${userId}` });
    }
    if (url.pathname.startsWith('/objects/')) return screenshots.deliver(url, res);
    if (!who) return error(res, 401, 'UNAUTHORIZED');
    if (url.pathname === '/api/v1/auth/agent-keys') {
      const { deviceId } = JSON.parse(await bodyOf(req)) as { deviceId: string };
      const key = `key-${credentials.size}`;
      credentials.set(`Bearer ${key}`, { ...who, deviceId });
      return reply(res, 201, { id: key, key, deviceId });
    }
    if (url.pathname === '/api/v1/pings') return void (await takePings(req, res, who));
    if (url.pathname === '/api/v1/organization') {
      const { settings } = JSON.parse(await bodyOf(req)) as { settings: { minimumBlurLevel: number } };
      screenshots.setMinimum(who.userId, settings.minimumBlurLevel);
      return reply(res, 200, { settings });
    }
    if (url.pathname === '/api/v1/sync/screenshots') {
      return void (await screenshots.take(req, await bytesOf(req), res, who.userId));
    }
    if (url.pathname === '/api/v1/screenshots') return screenshots.list(url, res, `org of ${who.userId}`);
    read(url, res, who);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  product.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return Object.assign(product, {
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  });
}
