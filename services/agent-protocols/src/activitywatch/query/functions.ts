import { QueryError } from './parse.ts';

/** An event of a query: microseconds. */
export interface QueryEvent {
  id?: number | undefined;
  startedAt: number;
  length: number;
  data: Record<string, unknown>;
}

type Data = QueryEvent['data'];

const end = ({ startedAt, length }: QueryEvent): number => startedAt + length;
const copy = (event: QueryEvent): QueryEvent => ({ ...event, data: { ...event.data } });
const byStart = (events: readonly QueryEvent[]): QueryEvent[] => events.toSorted((a, b) => a.startedAt - b.startedAt);
const keyOf = (value: unknown): string => JSON.stringify(value) ?? '';
const second = 1_000_000;

/**
 * Closes gaps of up to `pulse` seconds between events: the longer neighbour takes it, or both become one where they say the same.
 * Overlaps of events that say the same become one, too.
 */
export function flood(events: readonly QueryEvent[], pulse = 5): QueryEvent[] {
  const sorted = byStart(events).map(copy);
  const keys = sorted.map(({ data }) => keyOf(data));
  for (let i = 0; i + 1 < sorted.length; i++) {
    const [first, next] = [sorted[i]!, sorted[i + 1]!];
    const gap = next.startedAt - end(first);
    if (gap === 0) continue;
    const isSame = keys[i] === keys[i + 1];
    const nextEnd = end(next);
    if (gap < 0 && isSame) {
      const last = Math.max(end(first), nextEnd);
      first.length = last - first.startedAt;
      Object.assign(next, { startedAt: last, length: 0 });
    } else if (gap > -second / 10 && gap <= pulse * second) {
      if (first.length >= next.length) {
        if (isSame) {
          first.length = nextEnd - first.startedAt;
          Object.assign(next, { startedAt: nextEnd, length: 0 });
        } else first.length = next.startedAt - first.startedAt;
      } else if (isSame) {
        Object.assign(next, { startedAt: first.startedAt, length: nextEnd - first.startedAt });
        first.length = 0;
      } else Object.assign(next, { startedAt: end(first), length: nextEnd - end(first) });
    }
  }
  return sorted.filter(({ length }) => length > 0);
}

/** What of events lies within any of the others. */
export function filterPeriodIntersect(events: readonly QueryEvent[], others: readonly QueryEvent[]): QueryEvent[] {
  const [left, right] = [byStart(events), byStart(others)];
  const found: QueryEvent[] = [];
  for (let i = 0, j = 0; i < left.length && j < right.length; ) {
    const [a, b] = [left[i]!, right[j]!];
    const startedAt = Math.max(a.startedAt, b.startedAt);
    const length = Math.min(end(a), end(b)) - startedAt;
    if (length > 0) found.push({ ...copy(a), startedAt, length });
    if (end(a) <= end(b)) i++;
    else j++;
  }
  return found;
}

/** The time that any of the events covers, as events without data. */
export function periodUnion(a: readonly QueryEvent[], b: readonly QueryEvent[]): QueryEvent[] {
  const merged: QueryEvent[] = [];
  for (const event of byStart([...a, ...b])) {
    const last = merged.at(-1);
    if (last && event.startedAt <= end(last)) last.length = Math.max(end(last), end(event)) - last.startedAt;
    else merged.push({ startedAt: event.startedAt, length: event.length, data: {} });
  }
  return merged;
}

/** The first events, and of the second what lies beside them. */
export function unionNoOverlap(first: readonly QueryEvent[], second: readonly QueryEvent[]): QueryEvent[] {
  const [left, right] = [byStart(first), byStart(second)];
  const all = [...left];
  let j = 0;
  for (const event of right) {
    let { startedAt } = event;
    while (j < left.length && end(left[j]!) <= startedAt) j++;
    for (let k = j; startedAt < end(event) || event.length === 0; k++) {
      const other = left[k];
      const until = other ? Math.min(other.startedAt, end(event)) : end(event);
      if (
        until > startedAt ||
        (event.length === 0 && !(other && other.startedAt <= startedAt && startedAt < end(other)))
      ) {
        all.push({ ...copy(event), startedAt, length: Math.max(0, until - startedAt) });
      }
      if (!other || other.startedAt >= end(event) || event.length === 0) break;
      startedAt = Math.max(startedAt, end(other));
    }
  }
  return byStart(all);
}

/** One event for each combination of values of some keys, as long as all of it together. */
export function mergeByKeys(events: readonly QueryEvent[], keys: readonly string[]): QueryEvent[] {
  if (keys.length === 0) return [...events];
  const merged = new Map<string, QueryEvent>();
  for (const { startedAt, length, data } of events) {
    const present = keys.filter((key) => Object.hasOwn(data, key));
    const key = keyOf(present.map((name) => [name, data[name]]));
    const known = merged.get(key);
    if (known) known.length += length;
    else merged.set(key, { startedAt, length, data: Object.fromEntries(present.map((name) => [name, data[name]])) });
  }
  return [...merged.values()];
}

/** Events that follow each other within `pulse` seconds with one value of a key, as one; they stand in `subevents`. */
export function chunkByKey(events: readonly QueryEvent[], key: string, pulse = 5): QueryEvent[] {
  const chunks: QueryEvent[] = [];
  let before: QueryEvent | undefined;
  for (const event of byStart(events)) {
    if (!Object.hasOwn(event.data, key)) continue;
    const last = chunks.at(-1);
    const follows = before && event.startedAt - end(before) < pulse * second;
    if (last && follows && keyOf(last.data[key]) === keyOf(event.data[key])) {
      last.length = end(event) - last.startedAt;
      (last.data.subevents as QueryEvent[]).push(event);
    } else {
      const { startedAt, length } = event;
      chunks.push({ startedAt, length, data: { [key]: event.data[key], subevents: [event] } });
    }
    before = event;
  }
  return chunks;
}

/** Adds the parts of an address to whatever has one. */
export function splitUrls(events: readonly QueryEvent[]): QueryEvent[] {
  return events.map((event) => {
    const { url } = event.data;
    return typeof url === 'string' ? { ...event, data: { ...event.data, ...partsOf(url) } } : event;
  });
}

/** RFC 3986, appendix B; of what is no address too, as watchers send it. */
function partsOf(url: string): Data {
  const [, protocol = '', host = '', path = '', options = '', identifier = ''] =
    /^(?:([A-Za-z][\w+.-]*):)?(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#([\s\S]*))?$/.exec(url) ?? [];
  return {
    $protocol: protocol,
    $domain: host.replace(/^www\./, '') || protocol,
    $path: path,
    $params: '',
    $options: options,
    $identifier: identifier,
  };
}

/** A rule of categories or tags. */
interface Rule {
  name: unknown;
  matches(data: Data): boolean;
}

function rulesOf(classes: unknown): Rule[] {
  if (!Array.isArray(classes)) throw new QueryError('Classes are a list of pairs of a name and a rule.');
  return classes.map((pair: unknown) => {
    const [name, rule] = Array.isArray(pair) ? (pair as [unknown, unknown]) : [];
    if (typeof rule !== 'object' || rule === null) throw new QueryError('A class is a name and a rule.');
    const { regex, ignore_case: ignoreCase, select_keys: keys } = rule as Record<string, unknown>;
    const pattern = typeof regex === 'string' && regex !== '' ? patternOf(regex, ignoreCase === true) : undefined;
    return {
      name,
      matches: (data) =>
        pattern !== undefined &&
        (Array.isArray(keys) ? keys.map((key) => data[String(key)]) : Object.values(data)).some(
          (value) => typeof value === 'string' && pattern.test(value),
        ),
    };
  });
}

/** As watchers' users write them: `(?i)` in front stands for the flag. */
function patternOf(source: string, ignoreCase: boolean): RegExp {
  const [, inline = ''] = /^\(\?([ims]+)\)/.exec(source) ?? [];
  const flags = [...new Set(`u${inline}${ignoreCase ? 'i' : ''}`)].join('');
  const body = inline ? source.slice(inline.length + 3) : source;
  try {
    return new RegExp(body, flags);
  } catch {
    try {
      // Escapes of what needs none are an error with `u` alone.
      return new RegExp(body, flags.replace('u', ''));
    } catch {
      throw new QueryError(`Not a regular expression: ${source.slice(0, 60)}`);
    }
  }
}

const uncategorized = ['Uncategorized'];

/** Gives each event the deepest category whose rule it meets, the last of those that are as deep. */
export function categorize(events: readonly QueryEvent[], classes: unknown): QueryEvent[] {
  const rules = rulesOf(classes);
  const depth = (name: unknown): number => (Array.isArray(name) ? name.length : 1);
  return events.map((event) => {
    let category: unknown = uncategorized;
    for (const { name, matches } of rules) {
      if (depth(name) >= depth(category) && matches(event.data)) category = name;
    }
    return { ...event, data: { ...event.data, $category: category } };
  });
}

/** Gives each event the names of all rules that it meets. */
export function tag(events: readonly QueryEvent[], classes: unknown): QueryEvent[] {
  const rules = rulesOf(classes);
  return events.map((event) => ({
    ...event,
    data: { ...event.data, $tags: rules.filter(({ matches }) => matches(event.data)).map(({ name }) => name) },
  }));
}

/** Titles without what changes all the time: counts of news, marks of what is not saved, frames a second. */
export function simplifyTitles(events: readonly QueryEvent[], key: string): QueryEvent[] {
  return events.map((event) => {
    const value = event.data[key];
    if (typeof value !== 'string') return event;
    let text = value.replace(/^\(\d+\)\s*/, '');
    if (key === 'title' && Object.hasOwn(event.data, 'app'))
      text = text.replace(/FPS:\s+[\d.]+/g, 'FPS: ...').replace(/^[●*]\s*/, '');
    return { ...event, data: { ...event.data, [key]: text } };
  });
}

/** Whether it is an event, and no dict that somebody wrote. */
export const isEvent = (value: unknown): value is QueryEvent =>
  typeof value === 'object' &&
  value !== null &&
  Number.isSafeInteger((value as QueryEvent).startedAt) &&
  (value as QueryEvent).startedAt >= 0 &&
  Number.isFinite((value as QueryEvent).length) &&
  typeof (value as QueryEvent).data === 'object' &&
  (value as QueryEvent).data !== null;

function events(value: unknown): QueryEvent[] {
  if (Array.isArray(value) && value.every(isEvent)) return value;
  throw new QueryError('A list of events is needed.');
}
function text(value: unknown): string {
  if (typeof value === 'string') return value;
  throw new QueryError('A text is needed.');
}
function list(value: unknown): unknown[] {
  if (Array.isArray(value)) return value;
  throw new QueryError('A list is needed.');
}
function number(value: unknown): number {
  if (typeof value === 'number') return value;
  throw new QueryError('A number is needed.');
}

const has = ({ data }: QueryEvent, key: string, values: readonly string[]): boolean =>
  Object.hasOwn(data, key) && values.includes(keyOf(data[key]));

/** All functions but those that read buckets, with how many arguments they need. */
export const functions: Record<string, { least: number; most: number; call: (args: unknown[]) => unknown }> = {
  nop: { least: 0, most: 0, call: () => 1 },
  flood: { least: 1, most: 2, call: ([a, pulse]) => flood(events(a), pulse === undefined ? undefined : number(pulse)) },
  filter_period_intersect: { least: 2, most: 2, call: ([a, b]) => filterPeriodIntersect(events(a), events(b)) },
  period_union: { least: 2, most: 2, call: ([a, b]) => periodUnion(events(a), events(b)) },
  union_no_overlap: { least: 2, most: 2, call: ([a, b]) => unionNoOverlap(events(a), events(b)) },
  filter_keyvals: {
    least: 3,
    most: 3,
    call: ([a, key, values]) => {
      const [name, wanted] = [text(key), list(values).map(keyOf)];
      return events(a).filter((event) => has(event, name, wanted));
    },
  },
  exclude_keyvals: {
    least: 3,
    most: 3,
    call: ([a, key, values]) => {
      const [name, unwanted] = [text(key), list(values).map(keyOf)];
      return events(a).filter((event) => !has(event, name, unwanted));
    },
  },
  filter_keyvals_regex: {
    least: 3,
    most: 3,
    call: ([a, key, regex]) => {
      const [name, pattern] = [text(key), patternOf(text(regex), false)];
      return events(a).filter(({ data }) => {
        const value = data[name];
        return typeof value === 'string' && pattern.test(value);
      });
    },
  },
  merge_events_by_keys: {
    least: 2,
    most: 2,
    call: ([a, keys]) => mergeByKeys(events(a), list(keys).map(text)),
  },
  chunk_events_by_key: {
    least: 2,
    most: 3,
    call: ([a, key, pulse]) => chunkByKey(events(a), text(key), pulse === undefined ? undefined : number(pulse)),
  },
  split_url_events: { least: 1, most: 1, call: ([a]) => splitUrls(events(a)) },
  categorize: { least: 2, most: 2, call: ([a, classes]) => categorize(events(a), classes) },
  tag: { least: 2, most: 2, call: ([a, classes]) => tag(events(a), classes) },
  simplify_window_titles: { least: 2, most: 2, call: ([a, key]) => simplifyTitles(events(a), text(key)) },
  sort_by_timestamp: { least: 1, most: 1, call: ([a]) => byStart(events(a)) },
  sort_by_duration: { least: 1, most: 1, call: ([a]) => events(a).toSorted((x, y) => y.length - x.length) },
  sum_durations: { least: 1, most: 1, call: ([a]) => events(a).reduce((sum, { length }) => sum + length, 0) / second },
  limit_events: { least: 2, most: 2, call: ([a, count]) => events(a).slice(0, Math.max(0, number(count))) },
  concat: { least: 2, most: 2, call: ([a, b]) => [...events(a), ...events(b)] },
};
