import type { Readable } from 'node:stream';
import { isPrivate, pingFieldsOf } from '@worktide/activitywatch';
import { invalid } from '@worktide/runtime';
import {
  type BucketHead,
  contentOf,
  deviceName,
  type Judged,
  judged,
  kept,
  type Problem,
  planBounds,
} from '../items.ts';
import { createJsonScanner, type Shape } from './json.ts';
import { pingsOf, type SeenContext } from './seen.ts';

/** An export of all buckets, or of one: `{"buckets": {"<id>": {…, "events": […]}}}`. */
const shape: Shape = {
  members: {
    buckets: {
      members: {},
      others: { members: { type: 'take', client: 'take', hostname: 'take', events: { each: 'take' } } },
    },
  },
};
/** One event; those of watchers have some hundred bytes. */
const maxEventBytes = 64 * 1024;

const isHead = (name: string | undefined): name is keyof BucketHead =>
  name === 'type' || name === 'client' || name === 'hostname';

/** What buckets of a file are. In an export it stands before their events; nothing in JSON says that it has to. */
export type Buckets = Map<string, Partial<BucketHead>>;

/**
 * Events of an export, row by row, some at a time.
 * @param buckets what is known of them; what the file says is added.
 * @param from rows up to this one are passed over.
 * @throws AppError 400 `MALFORMED_JSON`, `NOT_THIS_KIND`, `TOO_MANY_BUCKETS`.
 */
export async function* readActivityWatch(
  file: Readable,
  context: SeenContext,
  { buckets, from }: { buckets: Buckets; from: number },
): AsyncGenerator<Judged[]> {
  const scanner = createJsonScanner(shape, maxEventBytes);
  let row = 0;
  for await (const piece of file as AsyncIterable<Buffer>) {
    const rows: Judged[] = [];
    for (const { path, value } of scanner.push(piece)) {
      const id = path[1]!;
      const name = path[2];
      let bucket = buckets.get(id);
      if (!bucket) {
        if (buckets.size >= planBounds.buckets) {
          throw invalid('TOO_MANY_BUCKETS', `A file may have ${planBounds.buckets} buckets.`);
        }
        bucket = {};
        buckets.set(id, bucket);
      }
      if (isHead(name)) {
        if (typeof value === 'string') bucket[name] = kept(value, 256);
        continue;
      }
      row++;
      if (row > from) rows.push(judged(row, () => judge(value, bucket, context)));
    }
    yield rows;
  }
  scanner.end();
  if (buckets.size === 0) throw invalid('NOT_THIS_KIND', 'The file has no buckets: it is no export of ActivityWatch.');
}

const notAnEvent: Problem = { code: 'NOT_AN_EVENT', message: 'It is no event, or too large.' };

function judge(value: unknown, bucket: Partial<BucketHead>, context: SeenContext): Omit<Judged, 'row'> {
  if (typeof value !== 'object' || value === null) return { problem: notAnEvent };
  const { timestamp, duration, data } = value as Record<string, unknown>;
  if (typeof data !== 'object' || data === null || Array.isArray(data)) return { problem: notAnEvent };
  const from = typeof timestamp === 'string' ? Date.parse(timestamp) : Number.NaN;
  const seconds = duration === undefined ? 0 : Number(duration);
  const to = from + Math.round(seconds * 1_000);
  if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || from < 0) {
    return { problem: { code: 'INVALID_TIME', message: 'It has no such time.' } };
  }
  const { type, client = '', hostname } = bucket;
  if (type === undefined) return { problem: { code: 'UNKNOWN_BUCKET', message: 'Its bucket has no type.' } };
  const known = data as Record<string, unknown>;
  const fields = pingFieldsOf({ type, client }, known);
  if (!fields) return { problem: { code: 'NOT_TIME', message: 'What it tells of is nobody’s time.' } };
  const device = deviceName(hostname, 'unknown');
  const { app, source, state, url } = fields;
  // Not its title, of which privacy may leave nothing: nor does a hash of it stay, then.
  const content = contentOf(from, to, app, source, state, url && URL.canParse(url) ? new URL(url).host : null);
  const pings = pingsOf({ device, content, from, to, fields, isPrivate: isPrivate(known) }, context);
  if ('code' in pings) return { problem: pings };
  return {
    item: { type: 'seen', device, stream: `activitywatch ${device} ${source}`, content, at: from, from, to, ...pings },
  };
}
