import type { Account } from '../accounts.ts';
import type { HttpClient } from '../client.ts';
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
}

/** The public interface, read as one user. Every call throws an Error that says what was answered instead. */
export interface Reader {
  usage(account: Account, from: number, to: number): Promise<UsageItem[]>;
  /** Whether there is any usage in [from, to). */
  hasUsage(account: Account, from: number, to: number): Promise<boolean>;
  share(account: Account, report: 'apps' | 'domains', query: Record<string, string>): Promise<ShareReport>;
  daily(account: Account, query: Record<string, string>): Promise<DailyItem[]>;
}

/** api.md: a list's page is at most 500. */
const pageSize = 500;
/** Past this many pages a list does not end. */
const maxPages = 10_000;

export function createReader(client: HttpClient, origins: Origins): Reader {
  async function get(account: Account, origin: string, path: string, query: Record<string, string>): Promise<unknown> {
    const target = `${path}?${new URLSearchParams(query)}`;
    for (;;) {
      const headers = { authorization: `Bearer ${account.bearer}` };
      const answer = await client.send(origin, { method: 'GET', path: target, headers });
      if (answer.status === 200) return JSON.parse(answer.text);
      const agentKey = account.devices[0]?.agentKey;
      if (answer.status !== 401 || agentKey === undefined || account.bearer === agentKey) {
        throw new Error(`GET ${target} was answered ${answer.status}: ${answer.text.slice(0, 200)}`);
      }
      // An access token lives 15 minutes, a run with kills and replays longer; the key of a device reads as well.
      account.bearer = agentKey;
    }
  }

  const usagePage = async (account: Account, query: Record<string, string>) =>
    (await get(account, origins.usage, '/api/v1/usage', query)) as { items: UsageItem[]; nextCursor: string | null };
  const rangeOf = (from: number, to: number, limit: number): Record<string, string> => ({
    from: new Date(from).toISOString(),
    to: new Date(to).toISOString(),
    limit: String(limit),
  });

  return {
    hasUsage: async (account, from, to) => (await usagePage(account, rangeOf(from, to, 1))).items.length > 0,
    async usage(account, from, to) {
      const items: UsageItem[] = [];
      const range = rangeOf(from, to, pageSize);
      let cursor: string | null = null;
      for (let page = 0; page < maxPages; page++) {
        const answer = await usagePage(account, cursor === null ? range : { ...range, cursor });
        items.push(...answer.items);
        if (answer.nextCursor === null) return items;
        cursor = answer.nextCursor;
      }
      throw new Error(`GET /api/v1/usage has no end after ${maxPages} pages`);
    },
    async share(account, report, query) {
      return (await get(account, origins.reports, `/api/v1/reports/${report}`, query)) as ShareReport;
    },
    async daily(account, query) {
      const answer = await get(account, origins.reports, '/api/v1/reports/daily', query);
      return (answer as { items: DailyItem[] }).items;
    },
  };
}
