import type { Readable } from 'node:stream';
import { createClickHouse, mapClickHouseError } from '@worktide/clickhouse';
import {
  type Catalog,
  type CatalogRow,
  catalogOf,
  catalogSql,
  defaultLimits,
  failureOf,
  passGate,
  type QueryLimits,
  viewsOf,
} from '@worktide/clickhouse/gate';
import {
  AppError,
  createPeopleTurns,
  invalid,
  type Logger,
  type Metrics,
  type PeopleTurns,
  requestAborted,
} from '@worktide/runtime';
import type { AnalystAnswer, AnalystQuery, AnalystSchema } from '@worktide/schemas';
import { examples } from './examples.ts';

/** A query's answer as a file. */
export interface FileAnswer {
  contentType: string;
  bytes: Buffer;
}

export interface Analysts {
  /** @throws AppError 400 `QUERY_REFUSED`, `QUERY_FAILED`; 422 `QUERY_TOO_EXPENSIVE`; 503. */
  query(organizationId: string, asked: AnalystQuery, signal?: AbortSignal): Promise<AnalystAnswer | FileAnswer>;
  schema(): Promise<AnalystSchema>;
  turns: PeopleTurns;
  close(): Promise<void>;
}

const files = {
  csv: { format: 'CSVWithNames', contentType: 'text/csv; charset=utf-8; header=present' },
  parquet: { format: 'Parquet', contentType: 'application/vnd.apache.parquet' },
} as const;

/** How long what was read of the server is good for: migrations add views, and tables, seldom. */
const catalogMs = 60_000;
/** Text is several times the size of the engine's own blocks, which its limits count. */
const maxAnswerBytes = 64 * 1024 ** 2;

/**
 * Queries of analysts, through the gate of libs/clickhouse, over connections of their own and by turns: an organisation
 * has one at a time, so that none keeps the others, or ingest, waiting.
 * @param url of the database of tables.
 */
export function openAnalysts(
  url: string,
  options: { places: number; log: Logger; metrics: Metrics; limits?: Partial<QueryLimits> },
): Analysts {
  const { places, log, metrics } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const tables = decodeURIComponent(new URL(url).pathname.slice(1)) || 'default';
  const viewsUrl = new URL(url);
  viewsUrl.pathname = `/${viewsOf(tables)}`;
  const clickhouse = createClickHouse(viewsUrl.href, {
    log,
    application: 'worktide-analysts',
    // Two for what is asked beside queries.
    maxConnections: places + 2,
    requestTimeoutMs: (limits.seconds + 2) * 1_000,
  });

  let catalog: { until: number; read: Promise<Catalog> } | undefined;
  function readCatalog(): Promise<Catalog> {
    if (!catalog || catalog.until < Date.now()) {
      const read = clickhouse.query<CatalogRow>(catalogSql(tables)).then((rows) => catalogOf(tables, rows));
      catalog = { until: Date.now() + catalogMs, read };
      read.catch(() => {
        catalog = undefined;
      });
    }
    return catalog.read;
  }

  async function execute(
    statement: string,
    settings: Record<string, string | number>,
    params: Record<string, unknown> | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Buffer> {
    const { stream } = await clickhouse.client.exec({
      query: statement,
      clickhouse_settings: settings,
      ...(params ? { query_params: params } : {}),
      ...(signal ? { abort_signal: signal } : {}),
    });
    return collect(stream);
  }

  async function query(organizationId: string, asked: AnalystQuery, signal?: AbortSignal) {
    const there = await readCatalog();
    const began = Date.now();
    const wanted = { ...limits };
    // A file is whole or not at all; rows beyond the last tell that there are more.
    if (asked.format === 'json') wanted.resultRows += 1;
    const run = (statement: string, settings: Record<string, string | number>) =>
      execute(statement, settings, asked.parameters, signal);
    let text = asked.sql;
    try {
      const passed = await passGate(asked.sql, {
        catalog: there,
        organizationId,
        limits: wanted,
        explain: async (statement, settings) => (await run(statement, settings)).toString(),
      });
      if (passed.format) throw invalid('QUERY_REFUSED', 'This query is not run: the format is asked for beside it.');
      text = passed.sql;
      if (asked.format !== 'json') {
        if (!passed.reads) throw invalid('QUERY_REFUSED', 'This query is not run: a file is of what is in the views.');
        const { format, contentType } = files[asked.format];
        const bytes = await run(`${text}\nFORMAT ${format}`, { ...passed.settings, result_overflow_mode: 'throw' });
        return { contentType, bytes };
      }
      const settings = { ...passed.settings, result_overflow_mode: 'break', ...jsonSettings };
      const answer = JSON.parse((await run(`${text}\nFORMAT JSONCompact`, settings)).toString()) as Answer;
      const rows = answer.data.slice(0, limits.resultRows);
      const truncated = answer.data.length > rows.length;
      return { columns: answer.meta, rows, rowCount: rows.length, truncated, elapsedMs: Date.now() - began };
    } catch (error) {
      if (signal?.aborted) throw requestAborted(error);
      if (error instanceof AppError) throw error;
      throw failureOf(error, text, there) ?? mapClickHouseError(error);
    }
  }

  async function schema(): Promise<AnalystSchema> {
    const there = await readCatalog();
    const rows = await clickhouse.query<{ view: string; meaning: string; name: string; type: string; text: string }>(
      `SELECT t.name AS view, t.comment AS meaning, c.name AS name, c.type AS type, c.comment AS text
       FROM system.columns AS c INNER JOIN system.tables AS t ON t.database = c.database AND t.name = c.table
       WHERE c.database = {views:String} ORDER BY view, c.position`,
      { params: { views: there.views } },
    );
    const views = new Map<string, AnalystSchema['views'][number]>();
    for (const { view, meaning, name, type, text } of rows) {
      const found = views.get(view) ?? { name: view, meaning, columns: [] };
      views.set(view, found);
      found.columns.push({ name, type, meaning: text });
    }
    return { database: there.views, views: [...views.values()], examples: [...examples] };
  }

  const turns = createPeopleTurns({
    name: 'analysts',
    places,
    placesEach: 1,
    maxWaitMs: 5_000,
    metrics,
    code: 'QUERIES_BUSY',
    message: 'Too many queries are asked for at the moment; try again.',
  });
  return { query, schema, turns, close: () => clickhouse.close() };
}

/** Numbers are numbers; those beyond what JSON's readers hold exactly are for `toString`. */
const jsonSettings = { output_format_json_quote_64bit_integers: 0, output_format_json_quote_denormals: 0 };

interface Answer {
  meta: { name: string; type: string }[];
  data: unknown[][];
}

async function collect(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxAnswerBytes) {
      const message = 'This query was ended: its answer is larger than one may be. Narrow it down.';
      throw new AppError('QUERY_TOO_EXPENSIVE', message, { statusCode: 422 });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
