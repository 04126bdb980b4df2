import type { Account } from '../accounts.ts';
import { type HttpClient, sendUntilAnswered } from '../client.ts';
import type { Origins } from '../options.ts';

/** As `GET /usage` answers. */
export interface UsageItem {
  id: string;
  userId: string;
  deviceId: string;
  source: string;
  app: string;
  host: string | null;
  state: string;
  startedAt: string;
  endedAt: string;
  seconds: number;
}

/** As `GET /reports/apps` and `/reports/domains` answer. */
export interface ShareReport {
  date: string;
  timezone: string;
  totalSeconds: number;
  items: { app?: string; host?: string; seconds: number }[];
}

/** As `GET /reports/daily` answers. */
export interface DailyItem {
  date: string;
  workSeconds: number;
  activeSeconds: number;
  idleSeconds: number;
  productivityScore: number | null;
  keyboardClicks: number;
  mouseMovements: number;
}

/** What `GET /reports/team` has of a person, and `GET /reports/organization` of all. */
export type TimeSums = Pick<DailyItem, 'workSeconds' | 'activeSeconds' | 'idleSeconds'>;

/** As `GET /time-entries` lists. */
export interface TimeEntryItem {
  id: string;
  userId: string;
  kind: string;
  status: string;
  description: string | null;
  startTime: string;
  endTime: string | null;
  workedSeconds: number;
  activeSeconds: number;
  idleSeconds: number;
  untrackedSeconds: number;
  lastActivityAt: string | null;
  version: number;
}

/** As `GET /alerts` lists. */
export interface AlertItem {
  id: string;
  userId: string;
  type: string;
  date: string;
  timeEntryId: string | null;
  message: string;
  resolvedAt: string | null;
  resolvedBy: string | null;
}

/** As `GET /screenshots` lists. */
export interface ScreenshotItem {
  id: string;
  userId: string;
  capturedAt: string;
  status: string;
  blurLevel: number | null;
  width: number | null;
  height: number | null;
  url: string | null;
  thumbnailUrl: string | null;
  metadata: Record<string, unknown> | null;
  failure?: { code: string };
}

/** The public interface, read as one user. Every call throws an Error that says what was answered instead. */
export interface PresenceItem {
  userId: string;
  state: string;
  version: number;
}

export interface Reader {
  usage(account: Account, from: number, to: number): Promise<UsageItem[]>;
  /** Whether there is any usage in [from, to). */
  hasUsage(account: Account, from: number, to: number): Promise<boolean>;
  share(account: Account, report: 'apps' | 'domains', query: Record<string, string>): Promise<ShareReport>;
  daily(account: Account, query: Record<string, string>): Promise<DailyItem[]>;
  /** Of the account's organisation; undefined where its log-in is over, since an agent's key reads nothing of colleagues. */
  sums(
    account: Account,
    query: Record<string, string>,
  ): Promise<{ organization: TimeSums; team: (TimeSums & { userId: string })[] } | undefined>;
  /** Those that touch [from, to), in the order of the list. */
  timeEntries(account: Account, from: number, to: number): Promise<TimeEntryItem[]>;
  /** All of one user, in the order of the list. */
  alerts(account: Account): Promise<AlertItem[]>;
  /** Of the account's organisation. */
  presence(account: Account): Promise<PresenceItem[]>;
  /** All of one user, in the order of the list. */
  screenshots(account: Account): Promise<ScreenshotItem[]>;
  /** What a signed link delivers. */
  picture(url: string): Promise<Buffer>;
}

/** docs/rules.md, Limits: a list's page is at most 500. */
const pageSize = 500;
/** Small, so that lists of a few have pages too. */
const screenshotsPageSize = 10;
const timesPageSize = 7;
const pictureTimeoutMs = 30_000;
/** Who is told to come later does, as a client should; but for so long it is a fault. */
const patienceMs = 30_000;
/** Past this many pages a list does not end. */
const maxPages = 10_000;

export function createReader(client: HttpClient, origins: Origins): Reader {
  async function get(account: Account, origin: string, path: string, query: Record<string, string>): Promise<unknown> {
    const target = `${path}?${new URLSearchParams(query)}`;
    for (;;) {
      const headers = { authorization: `Bearer ${account.bearer}` };
      const deadline = Date.now() + patienceMs;
      const answer = await sendUntilAnswered(client, origin, { method: 'GET', path: target, headers }, { deadline });
      if (answer.status === 200) return JSON.parse(answer.text);
      const agentKey = account.devices[0]?.agentKey;
      if (answer.status !== 401 || agentKey === undefined || account.bearer === agentKey) {
        throw new Error(`GET ${target} was answered ${answer.status}: ${answer.text.slice(0, 200)}`);
      }
      // An access token lives 15 minutes, a run with kills and replays longer; the key of a device reads as well.
      account.bearer = agentKey;
    }
  }

  interface Page<T> {
    items: T[];
    nextCursor: string | null;
  }
  async function allPages<T>(account: Account, origin: string, path: string, query: Record<string, string>) {
    const items: T[] = [];
    let cursor: string | null = null;
    for (let page = 0; page < maxPages; page++) {
      const asked = cursor === null ? query : { ...query, cursor };
      const answer = (await get(account, origin, path, asked)) as Page<T>;
      items.push(...answer.items);
      if (answer.nextCursor === null) return items;
      cursor = answer.nextCursor;
    }
    throw new Error(`GET ${path} has no end after ${maxPages} pages`);
  }
  const rangeOf = (from: number, to: number, limit: number): Record<string, string> => ({
    from: new Date(from).toISOString(),
    to: new Date(to).toISOString(),
    limit: String(limit),
  });

  return {
    async hasUsage(account, from, to) {
      const page = (await get(account, origins.usage, '/api/v1/usage', rangeOf(from, to, 1))) as Page<UsageItem>;
      return page.items.length > 0;
    },
    usage: (account, from, to) =>
      allPages<UsageItem>(account, origins.usage, '/api/v1/usage', rangeOf(from, to, pageSize)),
    timeEntries: (account, from, to) =>
      allPages<TimeEntryItem>(account, origins.usage, '/api/v1/time-entries', rangeOf(from, to, timesPageSize)),
    alerts: (account) =>
      allPages<AlertItem>(account, origins.usage, '/api/v1/alerts', {
        userId: account.userId,
        limit: String(timesPageSize),
      }),
    presence: (account) => allPages<PresenceItem>(account, origins.realtime, '/api/v1/presence', { limit: '500' }),
    screenshots(account) {
      const query = { userId: account.userId, limit: String(screenshotsPageSize) };
      return allPages<ScreenshotItem>(account, origins.screenshots, '/api/v1/screenshots', query);
    },
    async picture(url) {
      const target = new URL(url, origins.screenshots);
      const answer = await fetch(target, { signal: AbortSignal.timeout(pictureTimeoutMs) });
      const bytes = Buffer.from(await answer.arrayBuffer());
      if (answer.status !== 200) throw new Error(`GET ${target.pathname} was answered ${answer.status}`);
      return bytes;
    },
    async share(account, report, query) {
      return (await get(account, origins.reports, `/api/v1/reports/${report}`, query)) as ShareReport;
    },
    async sums(account, query) {
      const isKey = (): boolean => account.devices.some(({ agentKey }) => agentKey === account.bearer);
      try {
        if (isKey()) return undefined;
        const whole = (await get(account, origins.reports, '/api/v1/reports/organization', query)) as {
          totals: TimeSums;
        };
        type Row = TimeSums & { userId: string };
        const team = await allPages<Row>(account, origins.reports, '/api/v1/reports/team', { ...query, limit: '2' });
        return { organization: whole.totals, team };
      } catch (error) {
        // The log-in ended on the way.
        if (isKey()) return undefined;
        throw error;
      }
    },
    async daily(account, query) {
      const answer = await get(account, origins.reports, '/api/v1/reports/daily', query);
      return (answer as { items: DailyItem[] }).items;
    },
  };
}
