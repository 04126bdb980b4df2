import { parentPort, workerData } from 'node:worker_threads';
import { shownTimestamp } from '../times.ts';
import { functions, isEvent, type QueryEvent } from './functions.ts';
import { type Expression, parseQuery, QueryError, type Statement } from './parse.ts';

/** What a worker is given, asks for, and says. Times in microseconds. */
export interface QueryTask {
  name: string;
  query: string;
  periods: { start: number; end: number }[];
  buckets: { id: string; hostname: string }[];
}
export type Asked = { kind: 'events' | 'count'; bucket: string; period: number };
export type Said = { ask: Asked } | { json: string } | { refused: string };
/** An event with its data as JSON: who reads them for the query does not look into it. */
export type StoredQueryEvent = Omit<QueryEvent, 'data'> & { data: string };
export type Told = { events: StoredQueryEvent[] } | { count: number } | { refused: string };

/** Bytes of an answer. */
const maxAnswer = 32 * 1024 * 1024;
/** Events that variables hold, all together, however often they are copied. */
const maxHeld = 2_000_000;

const port = parentPort!;
const { name, query, periods, buckets } = workerData as QueryTask;

function ask(asked: Asked): Promise<Told> {
  return new Promise((resolve) => {
    port.once('message', (told: Told) => resolve(told));
    port.postMessage({ ask: asked } satisfies Said);
  });
}

type Scope = Map<string, unknown>;

async function evaluate(expression: Expression, scope: Scope, period: number): Promise<unknown> {
  switch (expression.kind) {
    case 'value':
      return expression.value;
    case 'name':
      if (!scope.has(expression.name)) throw new QueryError(`The variable ${expression.name} has no value.`);
      return scope.get(expression.name);
    case 'list': {
      const items: unknown[] = [];
      for (const item of expression.items) items.push(await evaluate(item, scope, period));
      return items;
    }
    case 'dict': {
      const entries: [string, unknown][] = [];
      for (const [key, value] of expression.entries) entries.push([key, await evaluate(value, scope, period)]);
      return Object.fromEntries(entries);
    }
    case 'call': {
      const args: unknown[] = [];
      for (const arg of expression.args) args.push(await evaluate(arg, scope, period));
      return call(expression.name, args, period);
    }
  }
}

async function call(called: string, args: unknown[], period: number): Promise<unknown> {
  if (called === 'find_bucket') return findBucket(args);
  if (called === 'query_bucket' || called === 'query_bucket_eventcount') {
    const [bucket] = args;
    if (typeof bucket !== 'string') throw new QueryError(`${called} needs the id of a bucket.`);
    const told = await ask({ kind: called === 'query_bucket' ? 'events' : 'count', bucket, period });
    if ('refused' in told) throw new QueryError(told.refused);
    return 'events' in told ? told.events.map((event) => ({ ...event, data: JSON.parse(event.data) })) : told.count;
  }
  const known = Object.hasOwn(functions, called) ? functions[called] : undefined;
  if (!known) throw new QueryError(`There is no function ${called}.`);
  if (args.length < known.least || args.length > known.most) {
    throw new QueryError(`${called} needs ${known.least} arguments, and got ${args.length}.`);
  }
  try {
    return known.call(args);
  } catch (error) {
    if (error instanceof QueryError) throw new QueryError(`${called}: ${error.message}`);
    throw error;
  }
}

function findBucket([wanted, hostname]: unknown[]): string {
  if (typeof wanted !== 'string') throw new QueryError('find_bucket needs a part of an id.');
  const found = buckets.find(({ id, hostname: host }) => id.includes(wanted) && (!hostname || host === hostname));
  if (!found) throw new QueryError(`There is no bucket like ${wanted.slice(0, 256)}.`);
  return found.id;
}

async function answer(statements: readonly Statement[], period: number): Promise<unknown> {
  const { start, end } = periods[period]!;
  const scope: Scope = new Map<string, unknown>([
    ['NAME', name],
    ['STARTTIME', shownTimestamp(start)],
    ['ENDTIME', shownTimestamp(end)],
  ]);
  for (const { name: variable, value } of statements) {
    scope.set(variable, await evaluate(value, scope, period));
    let held = 0;
    for (const one of scope.values()) if (Array.isArray(one)) held += one.length;
    if (held > maxHeld) throw new QueryError('The query holds too many events; ask for a shorter time.');
  }
  if (!scope.has('RETURN')) throw new QueryError('The query does not set RETURN.');
  return scope.get('RETURN');
}

const shown = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(shown);
  if (typeof value !== 'object' || value === null) return value;
  if (isEvent(value)) {
    const { id, startedAt, length, data } = value;
    return { id: id ?? null, timestamp: shownTimestamp(startedAt), duration: length / 1_000_000, data: shown(data) };
  }
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, shown(member)]));
};

async function run(): Promise<Said> {
  try {
    const statements = parseQuery(query);
    const answers: unknown[] = [];
    for (const period of periods.keys()) answers.push(shown(await answer(statements, period)));
    const json = JSON.stringify(answers);
    return json.length > maxAnswer ? { refused: 'The answer is too long; limit_events makes it shorter.' } : { json };
  } catch (error) {
    if (error instanceof QueryError) return { refused: error.message };
    // What is too deep or too long for the language it is carried out in.
    if (error instanceof RangeError) return { refused: 'Its values are too long, or nested too deeply.' };
    throw error;
  }
}

port.postMessage(await run());
