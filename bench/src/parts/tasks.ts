import { openArea } from '../area.ts';
import type { Context } from '../context.ts';
import { createHistogram } from '../statistics.ts';

const organizations = 1_000;
const tasksInAll = 1_000_000;
const projectsEach = 10;
const users = 200;
const clients = 4;
const pageSize = 50;

/** Ids that follow from what they are of, in the database's words and in ours. */
const idOf = (kind: number, n: number): string =>
  `${kind.toString(16).padStart(8, '0')}-0000-7000-8000-${n.toString(16).padStart(12, '0')}`;
const sqlIdOf = (kind: number, n: string): string =>
  `(lpad(to_hex(${kind}), 8, '0') || '-0000-7000-8000-' || lpad(to_hex(${n}), 12, '0'))::uuid`;

/** Pages of the task list among a million tasks of a thousand organisations, beside the bare query. */
export async function tasks(context: Context): Promise<void> {
  const { options, report, say } = context;
  const area = await openArea(context, 'tasks');
  const workspace = await area.start('workspace');
  const count = Math.max(organizations, Math.round(tasksInAll * options.scale));
  await fill(area.postgres, count);
  say(`  ${count.toLocaleString('en')} tasks of ${organizations.toLocaleString('en')} organisations`);
  const organizationOf = (user: number): string => idOf(1, user * Math.floor(organizations / users));
  const tokens = await area.tokens(users, organizationOf);

  const lists: Record<string, { query: (user: number) => string; floor?: string }> = {
    'first page': {
      query: () => '',
      floor:
        'SELECT * FROM workspace.tasks WHERE organization_id = $1 AND deleted_at IS NULL ORDER BY id DESC LIMIT $2',
    },
    'by project and status': {
      query: (user) => `&status=todo&projectId=${projectOf(user * Math.floor(organizations / users))}`,
    },
    'a word': { query: () => '&search=invoice' },
  };
  for (const [what, { query, floor }] of Object.entries(lists)) {
    const ours = await measure(options.seconds, async (turn) => {
      const user = turn % users;
      const response = await fetch(`${workspace.url}/api/v1/tasks?limit=${pageSize}${query(user)}`, {
        headers: { authorization: `Bearer ${tokens[user]}` },
      });
      const text = await response.text();
      if (response.status !== 200) throw new Error(`the list was answered ${response.status}: ${text}`);
      if (JSON.parse(text).items.length === 0) throw new Error(`nothing found: ${what}`);
    });
    const bare = floor
      ? await measure(options.seconds, (turn) => area.postgres.query(floor, [organizationOf(turn % users), pageSize]))
      : undefined;
    for (const [name, share] of [
      ['p50', 0.5],
      ['p99', 0.99],
    ] as const) {
      const part = 'task list';
      const figure = { part, what: `${what}, ${name}`, unit: 'ms' as const, ours: ours.percentile(share) };
      const under = bare?.percentile(share);
      report.add(under === undefined ? figure : { ...figure, floor: under, ratio: figure.ours / under });
    }
  }
  await area.close();
}

const projectOf = (organization: number): string => idOf(2, organization * projectsEach);

/** As the service would have written them; words as in services/workspace/src/tasks/words.ts. */
async function fill(
  postgres: { query(sql: string, values?: unknown[]): Promise<unknown> },
  count: number,
): Promise<void> {
  const organization = sqlIdOf(1, `(n % ${organizations})`);
  await postgres.query(
    `INSERT INTO workspace.projects (organization_id, id, name, name_key, status, created_by)
     SELECT ${sqlIdOf(1, `(n / ${projectsEach})`)}, ${sqlIdOf(2, 'n')}, 'Project ' || n, 'project ' || n, 'active', ${sqlIdOf(3, 'n')}
     FROM generate_series(0, $1::int - 1) n`,
    [organizations * projectsEach],
  );
  const step = 100_000;
  for (let from = 0; from < count; from += step) {
    await postgres.query(
      `INSERT INTO workspace.tasks (organization_id, id, project_id, title, status, priority, creator_id, completed_at, words)
       SELECT ${organization}, ${sqlIdOf(4, 'n')}, ${sqlIdOf(2, `(n % ${organizations}) * ${projectsEach} + n / ${organizations} % ${projectsEach}`)},
              title, status, 'medium', ${sqlIdOf(3, '0')}, CASE status WHEN 'done' THEN now() END,
              array_to_tsvector(ARRAY(SELECT DISTINCT right(${organization}::text, 8) || word FROM regexp_split_to_table(lower(title), ' ') word))
       FROM generate_series($1::int, $2::int - 1) n,
            LATERAL (SELECT (ARRAY['Round the invoice', 'Call the customer', 'Write the page', 'Look at the log'])[n / ${organizations} % 4 + 1] || ' ' || n AS title,
                            (ARRAY['todo', 'in_progress', 'done'])[n / ${organizations} / ${projectsEach} % 3 + 1] AS status) AS made`,
      [from, Math.min(count, from + step)],
    );
  }
  await postgres.query('VACUUM ANALYZE workspace.tasks, workspace.projects');
}

/** Times of `work`, done by a few clients one after the other for some seconds. */
async function measure(seconds: number, work: (turn: number) => Promise<unknown>) {
  const times = createHistogram();
  let turn = 0;
  for (; turn < 200; turn++) await work(turn);
  const end = performance.now() + seconds * 1_000;
  await Promise.all(
    Array.from({ length: clients }, async () => {
      while (performance.now() < end) {
        const startedAt = performance.now();
        await work(turn++);
        times.add(performance.now() - startedAt);
      }
    }),
  );
  return times;
}
