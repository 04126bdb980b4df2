import { openAnalysts } from '@worktide/analytics';
import { createMetrics, silentLogger } from '@worktide/runtime';
import type { AnalystSchema } from '@worktide/schemas';

/** From the repository's root on. */
export const analystsPath = 'docs/analysts.md';

const cell = (text: string): string => text.replaceAll('|', '\\|');

/** Columns of one width, as the formatter of the repository's other pages has them. */
function table(head: string[], rows: string[][]): string {
  const all = [head, ...rows].map((row) => row.map(cell));
  const widths = head.map((_, i) => Math.max(...all.map((row) => row[i]!.length)));
  const line = (row: string[]): string => `| ${row.map((text, i) => text.padEnd(widths[i]!)).join(' | ')} |`;
  return [line(all[0]!), `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...all.slice(1).map(line)].join(
    '\n',
  );
}

/** What the views say of themselves, as a page. */
export const renderAnalysts = (schema: AnalystSchema): string => `# SQL for analysts

_Made from the comments of the views by \`npm run analysts\`; change those, in \`services/analytics/migrations\`._

Managers and admins ask by \`POST /api/v1/analytics/query\` (\`{sql, parameters?, format?}\`), or from Grafana, DBeaver or a notebook with an
account of ClickHouse (\`POST /api/v1/analytics/credentials\`, admins). Both see the views below, in database \`worktide_v1\`, with the
rows of their own organisation and no others. \`GET /api/v1/analytics/schema\` says the same as this page.

- One \`SELECT\` at a time: \`WITH\`, subqueries, joins, \`UNION\`, window functions and \`{name:Type}\` parameters are fine. Of the views only: no
  table functions, no \`SETTINGS\`, no other database. Functions are those of values: arithmetic, dates, texts, arrays,
  conditions and aggregates. What is refused says why (\`QUERY_REFUSED\`).
- A query may take 15 s, 512 MB, 200 million rows read and two threads; more is 422 \`QUERY_TOO_EXPENSIVE\`. In JSON an answer has
  10,000 rows at most and says \`truncated\` where there are more; CSV and Parquet are whole or refused. An organisation has one
  query in work at a time, others wait their turn.
- Whole numbers are JSON numbers; those beyond 2⁵³ want \`toString\`.
- Views and columns are kept: others may be added, none changes its meaning. Instants are UTC, milliseconds. Local days are those of the
  person's own zone.
- Seconds are rounded once, where a day is summed up: sums over people, days or weeks are sums of these rows, in the reports too.
- Titles and addresses of pages are in no view, nor is the audit trail (\`GET /api/v1/audit\`, admins).

## Clients

An account is \`http://<user>:<password>@<host>:<port>/worktide_v1\`, over HTTP: the stock clients, \`curl\`, Grafana, DBeaver. On
\`npm start\`, whose embedded engine has one statement at a time behind the same gate, besides:

- Clients that speak the native protocol over HTTP are answered, such as Grafana's data source with protocol HTTP. Compression is HTTP's
  (\`enable_http_compression=1\`, gzip). ClickHouse's own (\`compress=1\`) is refused: JDBC wants \`compress=false\`.
- \`SHOW DATABASES\`, \`SHOW TABLES\`, \`DESCRIBE\` and \`EXISTS\` of views are answered, as are \`system.databases\`, \`system.tables\` and \`system.columns\` where
  their columns are named; they show the views alone. Other system tables are refused.
- Settings of output formats are taken, limits may be made smaller, all others are refused, but for some that clients send unasked.
- An answer has 200,000 rows at most; more are an error, not cut.

${schema.views
  .map(
    ({ name, meaning, columns }) =>
      `## ${name}\n\n${meaning}\n\n${table(
        ['column', 'type', 'meaning'],
        columns.map((column) => [`\`${column.name}\``, `\`${column.type}\``, column.meaning]),
      )}\n`,
  )
  .join('\n')}
## Examples

${schema.examples.map(({ title, sql }) => `${title}:\n\n\`\`\`sql\n${sql}\n\`\`\`\n`).join('\n')}`;

/** The page of a prepared database. */
export async function analystsPage(clickhouseUrl: string): Promise<string> {
  const analysts = openAnalysts(clickhouseUrl, { places: 1, log: silentLogger(), metrics: createMetrics() });
  try {
    const schema = await analysts.schema();
    return renderAnalysts(schema);
  } finally {
    await analysts.close();
  }
}
