import type { Readable } from 'node:stream';
import { invalid } from '@worktide/runtime';
import { type Heartbeat, isHeartbeat, readHeartbeat } from '../../wakatime/heartbeat.ts';
import { addressOf, keptHeartbeat, pingOf, timeoutMs } from '../../wakatime/pings.ts';
import { contentOf, deviceName, type Judged, judged, planBounds } from '../items.ts';
import { createJsonScanner, type Shape } from './json.ts';
import { pingsOf, type SeenContext } from './seen.ts';

/** A dump of heartbeats: `{"user": …, "range": …, "days": [{"date": …, "heartbeats": […]}]}`. */
const shape: Shape = { members: { days: { each: { members: { heartbeats: { each: 'take' } } } } } };
const maxHeartbeatBytes = 64 * 1024;
const sender = { userAgent: null, machine: null };

/**
 * Heartbeats of a dump, row by row, some at a time: what lies between two of a device is time of the editor of the first, as with
 * those that plugins send.
 * @param from rows up to this one are passed over.
 * @throws AppError 400 `MALFORMED_JSON`, `NOT_THIS_KIND`.
 */
export async function* readWakaTime(
  file: Readable,
  context: SeenContext,
  { from }: { from: number },
): AsyncGenerator<Judged[]> {
  const scanner = createJsonScanner(shape, maxHeartbeatBytes);
  /** The last of each device. */
  const last = new Map<string, Heartbeat>();
  /** @param isAsked whether more of it is of interest than that it is before the next. */
  function readRow(value: unknown, isAsked: boolean): Omit<Judged, 'row'> {
    const read = readHeartbeat(value, { ...sender, userId: context.userId });
    if (!isHeartbeat(read)) {
      const [[field, [why]] = ['', ['']]] = Object.entries(read) as [string, string[]][];
      return { problem: { code: 'NOT_A_HEARTBEAT', message: `${field}: ${why}` } };
    }
    const device = deviceName(read.machine ?? read.more?.machine_name_id, 'WakaTime');
    const before = last.get(device);
    if (before || last.size < planBounds.devices) last.set(device, read);
    return isAsked ? judge(read, before, device, context) : {};
  }
  let row = 0;
  for await (const piece of file as AsyncIterable<Buffer>) {
    const rows: Judged[] = [];
    for (const { value } of scanner.push(piece)) {
      row++;
      const one = judged(row, () => readRow(value, row > from));
      if (row > from) rows.push(one);
    }
    yield rows;
  }
  scanner.end();
  if (row === 0) {
    throw invalid('NOT_THIS_KIND', 'The file has no heartbeats: ask WakaTime for a dump of heartbeats, not of days.');
  }
}

function judge(
  one: Heartbeat,
  before: Heartbeat | undefined,
  device: string,
  context: SeenContext,
): Omit<Judged, 'row'> {
  const { at, type, editor } = one;
  // Not what it was spent on, of which privacy may leave nothing: nor does a hash of it stay, then.
  const content = contentOf(at, type, editor, one.project, one.isWrite);
  const instant = pingsOf(
    { device, content, from: at, to: at, fields: fieldsOf(one), isPrivate: isPrivate(one) },
    context,
  );
  if ('code' in instant) return { problem: instant };
  const taken = new Set(instant.taken);
  const pings = [...instant.pings];
  let from = at;
  if (before && before.at < at && at - before.at <= timeoutMs) {
    from = before.at;
    const between = { device, content, from, to: at, fields: fieldsOf(before), isPrivate: isPrivate(before) };
    const more = pingsOf(between, context);
    if (!('code' in more)) {
      pings.push(...more.pings);
      for (const kind of more.taken) taken.add(kind);
    }
  }
  const heartbeat = heartbeatOf(one, context);
  return {
    item: {
      type: 'seen',
      device,
      stream: `wakatime ${device}`,
      content,
      at,
      from,
      to: at,
      pings,
      taken: [...taken],
      ...(heartbeat ? { heartbeat } : {}),
    },
  };
}

/** What may be kept of it for what the protocol reads back. */
function heartbeatOf(one: Heartbeat, { rules, observed, nowMs }: SeenContext): Heartbeat | undefined {
  const ping = pingOf(one, 'import', Math.max(one.at, 0));
  return 'code' in ping ? undefined : keptHeartbeat(one, ping, rules, observed, nowMs).kept;
}

const isPrivate = ({ more }: Heartbeat): boolean => more?.incognito === true;

function fieldsOf(one: Heartbeat) {
  const url = addressOf(one);
  return { app: one.editor, source: 'editor', ...(url === undefined ? { title: one.entity } : { url }) };
}
