import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import type { ClickHouse } from '@worktide/clickhouse';
import { applyPrivacy, type CompiledPrivacy, compilePrivacy, rulesMet } from '@worktide/privacy';
import { localDate, localDays } from '@worktide/runtime';
import type { PingEvent, PrivacyPreview, PrivacyRules } from '@worktide/schemas';
import { reportSettings } from '../reports/settings.ts';

/** What is looked at, of an organisation that has more in a day. */
const maxPings = 100_000;
const pageRows = 10_000;
/** Looked at in one go; then others have their turn. */
const rowsAtOnce = 500;

interface Row {
  userId: string;
  id: string;
  startedAt: number;
  endedAt: number;
  app: string;
  host: string;
  url: string;
  titled: 0 | 1;
  timezone: string;
}

const daySql = `
  SELECT p.user_id AS userId, p.id AS id, toUnixTimestamp64Milli(p.started_at) AS startedAt,
    toUnixTimestamp64Milli(p.ended_at) AS endedAt, p.app AS app, p.host AS host, p.url AS url, p.title != '' AS titled,
    w.timezone AS timezone
  FROM (
    SELECT * FROM pings FINAL
    WHERE organization_id = {organizationId:UUID}
      AND started_at >= fromUnixTimestamp64Milli({start:Int64}) AND started_at < fromUnixTimestamp64Milli({end:Int64})
      AND (user_id, started_at, id) > ({userId:UUID}, fromUnixTimestamp64Milli({startedAt:Int64}), {id:UUID})
    ORDER BY user_id, started_at, id LIMIT {limit:UInt32}
  ) p
  LEFT JOIN (SELECT id, timezone FROM people FINAL WHERE organization_id = {organizationId:UUID}) w ON w.id = p.user_id
  ORDER BY p.user_id, p.started_at, p.id`;

const firstId = '00000000-0000-0000-0000-000000000000';

/**
 * What the pings of an organisation's yesterday would have lost under other rules, told in numbers. Bounded: of a larger day
 * the first of its people in an order of no meaning. Rejects 503.
 */
export async function previewPrivacy(
  clickhouse: Pick<ClickHouse, 'query'>,
  { organizationId, timezone }: { organizationId: string; timezone: string },
  rules: PrivacyRules,
  { signal, nowMs = Date.now(), most = maxPings }: { signal?: AbortSignal; nowMs?: number; most?: number } = {},
): Promise<PrivacyPreview> {
  const date = new Date(Date.parse(localDate(nowMs, timezone)) - 86_400_000).toISOString().slice(0, 10);
  const { start, end } = localDays(date, date, timezone)[0]!;
  const tally = createTally(compilePrivacy(rules), rules);
  let after = { userId: firstId, startedAt: 0, id: firstId };
  let truncated = false;
  while (start < end) {
    const limit = Math.min(pageRows, most - tally.preview.pings + 1);
    const params = { organizationId, start, end, limit, ...after };
    const rows = await clickhouse.query<Row>(daySql, {
      params,
      settings: reportSettings,
      ...(signal ? { signal } : {}),
    });
    truncated = tally.preview.pings + rows.length > most;
    if (truncated) rows.pop();
    for (const [i, row] of rows.entries()) {
      if (i > 0 && i % rowsAtOnce === 0) await turnOfTheLoop();
      tally.add(row, nowMs);
    }
    const last = rows.at(-1);
    if (truncated || !last || rows.length < limit) break;
    after = { userId: last.userId, startedAt: last.startedAt, id: last.id };
  }
  return { date, timezone, ...tally.rounded(), truncated };
}

function createTally(compiled: CompiledPrivacy, { rules }: PrivacyRules) {
  const nothing = () => ({ pings: 0, seconds: 0 });
  const preview = { pings: 0, dropped: nothing(), outsideHours: nothing(), titles: 0, urls: 0 };
  const met = new Map(rules.map((rule) => [rule.id, nothing()]));
  const add = (sum: { pings: number; seconds: number }, ms: number): void => {
    sum.pings++;
    sum.seconds += ms / 1000;
  };

  return {
    preview,
    add({ userId: _, timezone, host, url, titled, ...row }: Row, nowMs: number): void {
      const ping: PingEvent = { ...row, host: host || null, state: 'active', deviceId: '-', source: 'window' };
      // Of a title only whether there is one was read.
      if (titled) ping.title = '-';
      if (url) ping.url = url;
      const length = row.endedAt - row.startedAt;
      preview.pings++;
      for (const { id } of rulesMet(compiled, ping)) add(met.get(id)!, length);
      const { pings, taken } = applyPrivacy(compiled, ping, { timezone: timezone || 'UTC' }, nowMs);
      if (taken.includes('drop')) {
        add(preview.dropped, length);
        return;
      }
      const kept = pings.reduce((sum, piece) => sum + piece.endedAt - piece.startedAt, 0);
      if (taken.includes('hours')) add(preview.outsideHours, length - kept);
      if (pings.length === 0) return;
      if (taken.includes('titles') || taken.includes('redact-title')) preview.titles++;
      if (taken.includes('urls') || taken.includes('host-only')) preview.urls++;
    },
    rounded() {
      const round = <T extends { seconds: number }>(sum: T): T => ({ ...sum, seconds: Math.round(sum.seconds) });
      return {
        ...preview,
        dropped: round(preview.dropped),
        outsideHours: round(preview.outsideHours),
        rules: rules.map(({ id, kind }) => ({ id, kind, ...round(met.get(id)!) })),
      };
    },
  };
}
