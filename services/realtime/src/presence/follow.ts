import type { Consumer, EventLog } from '@worktide/event-log';
import type { TimeEntriesRecord, UsageRecord } from '@worktide/schemas';
import type { TopicReader } from '../told/read-topics.ts';
import type { LastSeen } from './last-seen.ts';
import type { PersonSeen, Presences } from './presences.ts';

/** What a record says was seen of its person; undefined where it only takes back. */
export function seenInUsage({ organizationId, userId, entries }: UsageRecord): PersonSeen | undefined {
  let seen: PersonSeen | undefined;
  for (const { state, endedAt, deviceId, source, deleted, ...entry } of entries) {
    if (deleted) continue;
    // A watcher of input tells that somebody is there, and not what is in front of them.
    const app = source === 'afk' ? null : entry.app;
    seen ??= { organizationId, userId, activeAt: 0, seenAt: 0, deviceId, app };
    if (state === 'active') seen.activeAt = Math.max(seen.activeAt, endedAt);
    if (endedAt > seen.seenAt) Object.assign(seen, { seenAt: endedAt, deviceId, app: app ?? seen.app });
  }
  return seen;
}

/** Who starts, pauses or stops a timer of theirs is there at that moment; a timer that runs says nothing. */
export function seenInEntries({ organizationId, userId, actorId, entries }: TimeEntriesRecord): PersonSeen | undefined {
  if (actorId !== userId) return undefined;
  const at = Math.max(0, ...entries.filter(({ kind }) => kind === 'timer').map(({ updatedAt }) => updatedAt));
  return at === 0 ? undefined : { organizationId, userId, activeAt: at, seenAt: at, deviceId: null, app: null };
}

/** Follows topic `usage`: what was stored of everybody's devices. */
export function followUsage(options: {
  eventLog: Pick<EventLog, 'consume'>;
  reader: TopicReader<'usage'>;
  presences: Pick<Presences, 'see'>;
  lastSeen: LastSeen;
}): Promise<Consumer> {
  const { eventLog, reader, presences, lastSeen } = options;
  return eventLog.consume({
    group: 'realtime-usage',
    topics: reader.topics,
    maxRecords: 2_000,
    ready: reader.prepare,
    handle: async (batch, context) => {
      const all = reader.read(batch, context).flatMap(({ data }) => seenInUsage(data) ?? []);
      await presences.see(all);
      for (const seen of all) lastSeen.note(seen);
    },
  });
}
