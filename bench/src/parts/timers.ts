import { createPool, type Pool } from '@worktide/postgres';
import { uuidv7 } from '@worktide/runtime';
import { type Area, openArea, type Service } from '../area.ts';
import type { Context } from '../context.ts';
import { startMeter } from '../meter.ts';
import { createHistogram, median } from '../statistics.ts';

/** One person each, of organisations of their own: nobody waits for a turn. */
const clients = 4;
const dayMs = 86_400_000;
const hourMs = 3_600_000;
/** As in the workload: an entry of usage each 160 s of a working day of eight hours. */
const usageInAll = 100_000;
const usagePerDay = 180;
const pageSize = 100;

const organizationOf = (user: number): string => `0000beef-0000-7000-8000-${String(user).padStart(12, '0')}`;

/**
 * Timers started and stopped, beside a bare INSERT and UPDATE of such a row with the same constraints; and a page of a
 * hundred entries with their active seconds, of somebody who has a hundred thousand entries of usage: of two years, of
 * which the page touches fifty days, and all of it within the page.
 */
export async function timers(context: Context): Promise<void> {
  const { report, options, say } = context;
  const area = await openArea(context, 'timers');
  const writer = await area.start('session-writer');
  const tokens = await area.tokens(clients + 2, organizationOf);
  await area.postgres.query(
    'CREATE TABLE floor (LIKE tracking.time_entries INCLUDING ALL EXCLUDING GENERATED); ALTER TABLE floor DROP starts_at, DROP ends_at',
  );
  const floorUrl = new URL(context.engines.postgres.url);
  floorUrl.pathname = '/bench_timers';
  const bare = createPool(floorUrl.href, { applicationName: 'bench floor', log: context.log, max: clients });

  const rates: Record<'ours' | 'floor', number[]> = { ours: [], floor: [] };
  const cpu: number[] = [];
  const [ours, floor] = [startAndStop(writer, tokens), insertAndUpdate(bare)];
  await rateOf(1, ours);
  for (let round = 0; round < options.rounds; round++) {
    const spent = await startMeter({ writer: writer.pid });
    rates.ours.push(await rateOf(options.seconds, ours));
    cpu.push((await spent()).writer! / (rates.ours.at(-1)! * options.seconds));
    rates.floor.push(await rateOf(options.seconds, floor));
    say(`  ours ${Math.round(rates.ours.at(-1)!)}, floor ${Math.round(rates.floor.at(-1)!)} pairs/s`);
  }
  await bare.end();
  const pairs = { part: 'timers', what: `started and stopped, ${clients} clients`, unit: 'pairs/s' } as const;
  report.addPairs({ ...pairs, goal: '≥ 0.5' }, rates.ours, rates.floor);

  report.add({ part: 'timers', what: 'CPU of the writer', unit: 'µs/pair', ours: median(cpu) });

  const usage = Math.max(pageSize, Math.round(usageInAll * options.scale));
  const days = pageSize / 2;
  for (const [i, [what, perDay, goal]] of (
    [
      ['two years of usage', usagePerDay, '≤ 30 ms'],
      ['all usage within it', usage / days, undefined],
    ] as const
  ).entries()) {
    const user = clients + i;
    await fill(area, user, tokens[user]!, usage, perDay);
    const times = createHistogram();
    const list = `${writer.url}/api/v1/time-entries?limit=${pageSize}&from=${instantOf(-300)}&to=${instantOf(1)}`;
    const end = performance.now() + options.seconds * 1_000;
    for (let turn = 0; turn < 20 || performance.now() < end; turn++) {
      const startedAt = performance.now();
      const { items } = await ask(list, 'GET', tokens[user]!);
      if (turn >= 10) times.add(performance.now() - startedAt);
      if (items.length !== pageSize || items[1].activeSeconds === 0) throw new Error('the list is not as it should be');
    }
    const part = `a page of ${pageSize} entries, ${usage.toLocaleString('en')} of usage`;
    report.add({ part, what: `${what}, p50`, unit: 'ms', ours: times.percentile(0.5) });
    report.add({ part, what: `${what}, p95`, unit: 'ms', ours: times.percentile(0.95), ...(goal && { goal }) });
  }
  await area.close();
}

const instantOf = (days: number): string => new Date(Date.now() + days * dayMs).toISOString();

async function ask(url: string, method: string, token: string, body?: object) {
  const response = await fetch(url, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${url} was answered ${response.status}: ${text.slice(0, 300)}`);
  return JSON.parse(text);
}

/** What the clients do in a second, each one after the other. */
async function rateOf(seconds: number, pair: (client: number) => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  const end = startedAt + seconds * 1_000;
  let done = 0;
  await Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      while (performance.now() < end) {
        await pair(client);
        done++;
      }
    }),
  );
  return done / ((performance.now() - startedAt) / 1_000);
}

const startAndStop =
  ({ url }: Service, tokens: readonly string[]) =>
  async (client: number): Promise<void> => {
    const path = `${url}/api/v1/time-entries`;
    const { id } = await ask(path, 'POST', tokens[client]!, { description: 'Invoices', tags: ['billing'] });
    await ask(`${path}/${id}/stop`, 'PUT', tokens[client]!, {});
  };

function insertAndUpdate(pool: Pool) {
  const users = Array.from({ length: clients }, () => uuidv7());
  return async (client: number): Promise<void> => {
    const key = [organizationOf(client), uuidv7()];
    await pool.query(
      `INSERT INTO floor (organization_id, id, user_id, kind, span, pauses, description, tags, billable, timezone, created_at,
         updated_at, version)
       VALUES ($1, $2, $3, 'timer', tstzrange(clock_timestamp(), NULL), '{}', 'Invoices', '{billing}', false, 'UTC', now(), now(), 1)`,
      [...key, users[client]],
    );
    await pool.query(
      `UPDATE floor SET span = tstzrange(lower(span), clock_timestamp()), updated_at = now(), version = version + 1
       WHERE organization_id = $1 AND id = $2`,
      key,
    );
  };
}

/** Two entries a day for a page, and usage for as many days as it takes, as the service would have stored it. */
async function fill(area: Area, user: number, token: string, usage: number, perDay: number): Promise<void> {
  const { postgres } = area;
  const [organizationId, userId] = [organizationOf(user), subjectOf(token)];
  const today = Math.floor(Date.now() / dayMs) * dayMs;
  const days = Math.ceil(usage / perDay);
  for (let day = 0; day <= days; day++) {
    const month = `${new Date(today - day * dayMs).toISOString().slice(0, 7)}-01`;
    const suffix = month.slice(0, 7).replace('-', '_');
    for (const table of ['tracking.usage_entries', 'tracking.usage_gaps']) {
      await postgres.query(
        `CREATE TABLE IF NOT EXISTS ${table}_${suffix} PARTITION OF ${table} FOR VALUES IN ('${month}')`,
      );
    }
  }
  await postgres.query(
    `WITH s AS (
       INSERT INTO tracking.streams (organization_id, user_id, device_id, source) VALUES ($1, $2, 'laptop', 'window') RETURNING id
     )
     INSERT INTO tracking.usage_entries (month, id, stream_id, started_at, ended_at, version, state, app)
     SELECT date_trunc('month', to_timestamp(t / 1000.0) AT TIME ZONE 'UTC')::date, gen_random_uuid(), s.id, t, t + $3::bigint, 1,
       CASE WHEN n % 5 = 0 THEN 'idle' ELSE 'active' END, 'App ' || n % 7
     FROM s, generate_series(0, $4::int - 1) n,
       LATERAL (SELECT $5::bigint - (1 + n / $6::int) * ${dayMs}::bigint + 9 * ${hourMs} + n % $6::int * $3::bigint AS t) AS made`,
    [organizationId, userId, Math.floor((8 * hourMs) / perDay), usage, today, Math.round(perDay)],
  );
  await postgres.query(
    `INSERT INTO tracking.time_entries (organization_id, id, user_id, kind, span, pauses, tags, billable, timezone, created_at,
       updated_at, version)
     SELECT $1, gen_random_uuid(), $2, 'timer', tstzrange(t, t + interval '4 hours'), '{}', '{}', false, 'UTC', t, t, 1
     FROM generate_series(0, ${pageSize} - 1) n,
       LATERAL (SELECT to_timestamp($3::bigint / 1000) - (1 + n / 2) * interval '1 day' + (9 + 4 * (n % 2)) * interval '1 hour' AS t) AS made`,
    [organizationId, userId, today],
  );
  await postgres.query('VACUUM ANALYZE tracking.usage_entries, tracking.time_entries, tracking.streams');
}

const subjectOf = (token: string): string =>
  JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()).sub as string;
