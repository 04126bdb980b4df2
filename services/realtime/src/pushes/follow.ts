import type { Consumer, EventLog } from '@worktide/event-log';
import type { Identity } from '@worktide/identity';
import type {
  AlertsRecord,
  ScreenshotReadyRecord,
  TimeEntriesRecord,
  TimeEntryState,
  WorkspaceEvent,
  WorkspaceRecord,
} from '@worktide/schemas';
import { seenInEntries } from '../presence/follow.ts';
import type { LastSeen } from '../presence/last-seen.ts';
import type { Presences } from '../presence/presences.ts';
import { aboutPerson, rooms } from '../sockets/rooms.ts';
import type { Sockets } from '../sockets/server.ts';
import type { Told, TopicReader } from '../told/read-topics.ts';
import { isNews, type Push, type Pushes } from './pushes.ts';

const iso = (ms: number): string => new Date(ms).toISOString();
const isoOrNull = (ms: number | null): string | null => (ms === null ? null : iso(ms));

/** An entry as `GET /time-entries/:id` shows it, but for what follows from usage: that is not known here. */
export function showEntry(userId: string, entry: TimeEntryState, now: number) {
  const { startedAt, endedAt, pauses, createdAt, updatedAt, deleted, ...rest } = entry;
  const end = endedAt ?? Math.max(now, startedAt);
  const paused = pauses.reduce((sum, { from, to }) => sum + Math.max(0, (to ?? end) - from), 0);
  return {
    ...rest,
    userId,
    startTime: iso(startedAt),
    endTime: isoOrNull(endedAt),
    pauses: pauses.map(({ from, to }) => ({ from: iso(from), to: isoOrNull(to) })),
    workedSeconds: Math.floor((end - startedAt - paused) / 1_000),
    createdAt: iso(createdAt),
    updatedAt: iso(updatedAt),
    ...(deleted ? { deleted } : {}),
  };
}

/** Thousands of entries of years ago come with an import, and go with it: that is no news of an entry. */
const isHistory = ({ kind, version, deleted }: TimeEntryState): boolean =>
  kind === 'imported' && (version === 1 || deleted);

export const pushesOfEntries = ({ organizationId, userId, entries }: TimeEntriesRecord, now: number): Push[] =>
  entries
    .filter((entry) => !isHistory(entry))
    .map((entry) => ({
      kind: 'entry',
      organizationId,
      id: entry.id,
      version: entry.version,
      deliveries: [
        {
          rooms: aboutPerson(organizationId, userId),
          event: 'session:update',
          payload: showEntry(userId, entry, now),
        },
      ],
    }));

const alertEvents = { idle: 'alert:inactive', overtime: 'alert:overtime' } as const;

export const pushesOfAlerts = ({ organizationId, userId, alerts }: AlertsRecord): Push[] =>
  alerts.map(({ createdAt, resolvedAt, ...alert }) => ({
    kind: 'alert',
    organizationId,
    id: alert.id,
    version: alert.version,
    deliveries: [
      {
        rooms: aboutPerson(organizationId, userId),
        event: resolvedAt === null ? alertEvents[alert.type] : 'alert:resolved',
        payload: { ...alert, userId, createdAt: iso(createdAt), resolvedAt: isoOrNull(resolvedAt) },
      },
    ],
  }));

export function pushesOfScreenshot(record: ScreenshotReadyRecord): Push[] {
  const { organizationId, userId, screenshotId: id, status, capturedAt, version, deleted } = record;
  if (deleted || status === 'pending') return [];
  const payload = { id, userId, status, capturedAt: iso(capturedAt), version };
  const deliveries = [{ rooms: aboutPerson(organizationId, userId), event: 'screenshot:ready', payload }];
  return [{ kind: 'screenshot', organizationId, id, version, deliveries }];
}

type TaskState = Extract<WorkspaceEvent, { type: 'task' }>;

/** What happened to a task. That it was restored no record says; `Pushes` knows what it told last. */
function typeOf(task: TaskState, { happened = [] }: WorkspaceRecord): string {
  if (task.deleted) return 'deleted';
  if (task.version === 1) return 'created';
  const assigned = happened.some(({ id, version }) => id === task.id && version === task.version);
  return assigned ? 'assigned' : 'updated';
}

/** @param onlyTheirs whether employees see the tasks alone that they made or have. */
export function pushesOfTasks(record: WorkspaceRecord, onlyTheirs: boolean): Push[] {
  const { organizationId, actorId, events } = record;
  return events.flatMap((event) => {
    if (event.type !== 'task') return [];
    const { type: _, ...task } = event;
    const payload = {
      type: typeOf(event, record),
      task: { ...task, completedAt: isoOrNull(task.completedAt) },
      actorId,
      version: task.version,
    };
    const to = [rooms.task(task.id), ...(task.assigneeId ? [rooms.user(task.assigneeId)] : [])];
    const theirs = [rooms.organization(organizationId), rooms.user(task.creatorId)];
    return [
      {
        kind: 'task' as const,
        organizationId,
        id: task.id,
        version: task.version,
        deleted: task.deleted,
        deliveries: ['task:event', 'task-event'].map((name) => ({ rooms: to, event: name, payload })),
        ...(onlyTheirs
          ? {
              taskFor: {
                taskId: task.id,
                allowed: task.assigneeId ? [...theirs, rooms.user(task.assigneeId)] : theirs,
              },
            }
          : {}),
      },
    ];
  });
}

type PushedTopic = 'time-entries' | 'alerts' | 'screenshots-ready' | 'workspace-events';

export interface FollowOptions {
  eventLog: Pick<EventLog, 'consume'>;
  readers: { [T in PushedTopic]: TopicReader<T> };
  pushes: Pick<Pushes, 'post'>;
  presences: Pick<Presences, 'see'>;
  lastSeen: LastSeen;
  organization: Identity['organization'];
  sockets: Pick<Sockets, 'teamChanged'>;
  now?: () => number;
}

/** Follows what is told of: each topic by itself, so that none waits for another. */
export async function followForPushes(options: FollowOptions): Promise<Map<string, Consumer>> {
  const { eventLog, readers, pushes, presences, lastSeen, organization, sockets, now = Date.now } = options;

  function follow<T extends PushedTopic>(topic: T, take: (told: Told<T>[]) => Promise<void>): Promise<Consumer> {
    const reader: TopicReader<T> = readers[topic];
    return eventLog.consume({
      group: `realtime-${topic}`,
      topics: reader.topics,
      maxRecords: 2_000,
      ready: reader.prepare,
      handle: async (batch, context) => {
        const told = reader.read(batch, context);
        if (told.length > 0) await take(told);
      },
    });
  }
  const young = <R extends { at: number }>(kind: Push['kind'], told: R[]): R[] =>
    told.filter(({ at }) => isNews(kind, at, now()));

  return new Map([
    [
      'time entries consumer',
      await follow('time-entries', async (told) => {
        const seen = told.flatMap(({ data }) => seenInEntries(data) ?? []);
        if (seen.length > 0) await presences.see(seen);
        for (const one of seen) lastSeen.note(one);
        await pushes.post(young('entry', told).flatMap(({ data }) => pushesOfEntries(data, now())));
      }),
    ],
    [
      'alerts consumer',
      await follow('alerts', (told) => pushes.post(young('alert', told).flatMap(({ data }) => pushesOfAlerts(data)))),
    ],
    [
      'screenshots consumer',
      await follow('screenshots-ready', (told) =>
        pushes.post(young('screenshot', told).flatMap(({ data }) => pushesOfScreenshot(data))),
      ),
    ],
    [
      'workspace consumer',
      await follow('workspace-events', async (told) => {
        const all: Push[] = [];
        for (const { data } of young('task', told)) {
          const { organizationId, events } = data;
          for (const event of events) {
            if (event.type !== 'team') continue;
            sockets.teamChanged({
              organizationId,
              teamId: event.id,
              leadIds: event.deleted ? [] : (event.leadIds ?? []),
            });
          }
          if (!events.some(({ type }) => type === 'task')) continue;
          // Nobody there to be asked: the least there is.
          const visibility = (await organization(organizationId))?.settings.taskVisibility ?? 'own';
          all.push(...pushesOfTasks(data, visibility === 'own'));
        }
        await pushes.post(all);
      }),
    ],
  ]);
}
