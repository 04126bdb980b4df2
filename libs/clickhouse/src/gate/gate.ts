import { AppError, unavailable } from '@worktide/runtime';
import { viewsOf } from '../views.ts';
import { type EngineFailure, queryFailure, readFailure } from './failures.ts';
import { type QueryLimits, querySettings } from './limits.ts';
import { checkText } from './text.ts';
import { checkTree } from './tree.ts';

/** What there is: read from the server, never from a list that could be behind it. */
export interface Catalog {
  /** The database of the tables, and that of the views. */
  tables: string;
  views: string;
  viewNames: ReadonlySet<string>;
  /** `additional_table_filters` of one organisation's rows: every table, those without an organisation entirely. */
  filtersOf(organizationId: string): string;
}

const quoted = (text: string): string => `'${text.replace(/[\\']/g, '\\$&')}'`;

/** The question whose rows `catalogOf` takes. */
export const catalogSql = (tables: string): string => `
SELECT t.database AS database, t.name AS name, t.engine = 'View' AS isView,
  t.name IN (SELECT table FROM system.columns WHERE database = ${quoted(tables)} AND name = 'organization_id') AS isOwned
FROM system.tables AS t WHERE t.database IN (${quoted(tables)}, ${quoted(viewsOf(tables))})`;

export interface CatalogRow {
  database: string;
  name: string;
  isView: number | boolean;
  isOwned: number | boolean;
}

/** @throws AppError 503 where there are no views yet: a server that is not prepared. */
export function catalogOf(tables: string, rows: readonly CatalogRow[]): Catalog {
  const views = viewsOf(tables);
  const viewNames = new Set(rows.filter(({ database }) => database === views).map(({ name }) => name));
  const private_ = rows.filter(({ database }) => database === tables);
  if (viewNames.size === 0 || private_.length === 0) {
    throw unavailable('clickhouse');
  }
  return {
    tables,
    views,
    viewNames,
    filtersOf(organizationId) {
      if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(organizationId)) throw new TypeError('no organisation');
      const filter = (owned: unknown): string => (owned ? `organization_id = ${quoted(organizationId)}` : '0');
      const entries = private_.map(({ name, isOwned }) => `${quoted(`${tables}.${name}`)}: ${quoted(filter(isOwned))}`);
      // Nothing beyond the views is readable; were it, it would be empty.
      return `{${entries.join(', ')}}`;
    },
  };
}

/** Runs a statement of the gate's own on the engine, with nothing but these settings; rejects as the engine fails. */
export type Explain = (statement: string, settings: Record<string, string | number>) => Promise<string>;

export interface Passed {
  sql: string;
  /** What a `FORMAT` at its end names; the query has it no more. */
  format: string | undefined;
  /** Whether it reads anything: of what reads nothing the engine does not count the rows. */
  reads: boolean;
  settings: Record<string, string | number>;
}

export interface GateOptions {
  catalog: Catalog;
  organizationId: string;
  limits: QueryLimits;
  explain: Explain;
  /** `system.tables` and the like, with the filter of their rows. */
  others?: ReadonlyMap<string, string>;
}

const explainPrefix = 'EXPLAIN AST ';

/**
 * Lets one SELECT of an organisation through, with the settings that it must run with, in the database of the views.
 * Decision 0015 says why so.
 * @throws AppError 400 `QUERY_REFUSED`, 400 `QUERY_FAILED`, 422 `QUERY_TOO_EXPENSIVE`; the engine's own where it is away.
 */
export async function passGate(text: string, options: GateOptions): Promise<Passed> {
  const { catalog, organizationId, limits, explain, others } = options;
  const { sql, format } = checkText(text);
  const settings = querySettings(limits);
  let tree: string;
  try {
    tree = await explain(explainPrefix + sql, settings);
  } catch (error) {
    throw failureOf(error, sql, catalog, explainPrefix.length) ?? error;
  }
  const { views: database, viewNames: views } = catalog;
  const reads = checkTree(tree, { database, views, ...(others ? { others: new Set(others.keys()) } : {}) });
  let filters = catalog.filtersOf(organizationId);
  for (const [name, filter] of others ?? []) filters = filters.replace(/\}$/, `, ${quoted(name)}: ${quoted(filter)}}`);
  return { sql, format, reads, settings: { ...settings, additional_table_filters: filters } };
}

/** As `queryFailure`, of what was thrown. */
export function failureOf(error: unknown, sql: string, catalog: Catalog, before = 0): AppError | undefined {
  const failure = engineFailure(error);
  return failure && queryFailure(failure, sql, { before, hidden: [`${catalog.tables}.`] });
}

function engineFailure(error: unknown): EngineFailure | undefined {
  if (!(error instanceof Error) || error instanceof AppError) return undefined;
  const { code } = error as { code?: unknown };
  const type = (error as { type?: unknown }).type;
  // The stock client has taken the message apart already.
  if (/^\d+$/.test(String(code))) {
    return { code: Number(code), message: typeof type === 'string' ? `${error.message} (${type})` : error.message };
  }
  return readFailure(error.message);
}
