import { derivedUuid } from '@worktide/runtime';
import type { TimeEntryState, WebhookEvent, WorkspaceRecord } from '@worktide/schemas';
import type { Told } from '../told/read-topics.ts';

/** What webhooks are told of; each is decided by one record alone, so that the same record makes the same events again. */
export const eventTopics = [
  'workspace-events',
  'time-entries',
  'alerts',
  'screenshots-ready',
  'people',
  'days',
  'exports',
] as const;

/** Something that has happened in an organisation. */
export interface Happened {
  organizationId: string;
  /** The same for all webhooks, whoever reads of it and how often. */
  id: string;
  type: WebhookEvent;
  /** What it is about: of one object webhooks are told in order. */
  object: string;
  /** Epoch milliseconds. */
  at: number;
  data: object;
}

type Fact = Pick<Happened, 'type' | 'object' | 'data'> & { id: string; version: string | number };

export function eventsOf(told: Told<(typeof eventTopics)[number]>): Happened[] {
  const { organizationId } = told.data;
  return factsOf(told).map(({ type, object, data, id, version }) => ({
    organizationId,
    id: derivedUuid('event', organizationId, type, id, version),
    type,
    object: `${object} ${id}`,
    at: told.at,
    data,
  }));
}

function factsOf(told: Told<(typeof eventTopics)[number]>): Fact[] {
  switch (told.topic) {
    case 'workspace-events':
      return ofWorkspace(told.data);
    case 'time-entries':
      return told.data.entries.map((entry) => ofTimeEntry(entry, told.data));
    case 'alerts':
      return told.data.alerts.map(({ id, version, createdAt, resolvedAt, ...alert }) => ({
        type: resolvedAt === null ? 'alert.opened' : 'alert.resolved',
        object: 'alert',
        id,
        version,
        data: {
          id,
          userId: told.data.userId,
          ...alert,
          createdAt: iso(createdAt),
          resolvedAt: iso(resolvedAt),
          version,
        },
      }));
    case 'screenshots-ready': {
      const { userId, screenshotId: id, status, timeEntryId, capturedAt, failureCode, version, deleted } = told.data;
      if (deleted || status === 'pending') return [];
      const data = { id, userId, timeEntryId, status, capturedAt: iso(capturedAt), failureCode, version };
      return [{ type: `screenshot.${status}`, object: 'screenshot', id, version, data }];
    }
    case 'people':
      return ofPeople(told.data);
    case 'days':
      return told.data.days.map(({ version, ...day }) => ({
        type: 'day.finished',
        object: 'day',
        id: `${told.data.userId} ${day.date}`,
        version: `${day.timezone} ${version}`,
        data: { userId: told.data.userId, ...day, version },
      }));
    case 'exports':
      return told.data.exports.map(({ id, settledAt, ...rest }) => ({
        type: `export.${rest.status}`,
        object: 'export',
        id,
        version: 1,
        data: { id, userId: told.data.userId, ...rest, settledAt: iso(settledAt) },
      }));
  }
}

/** The first state of an object is its first version; restored, it is one that has changed. */
const become = <K extends string>(
  kind: K,
  { version, deleted }: { version: number; deleted: boolean },
): `${K}.created` | `${K}.updated` | `${K}.deleted` =>
  `${kind}.${deleted ? 'deleted' : version === 1 ? 'created' : 'updated'}`;

function ofWorkspace({ actorId, events, happened = [] }: WorkspaceRecord): Fact[] {
  const states = events.map((event): Fact => {
    const { deleted: _, type, ...state } = event;
    const completed = 'completedAt' in state ? { completedAt: iso(state.completedAt) } : {};
    return {
      type: become(event.type, event),
      object: type,
      id: event.id,
      version: event.version,
      data: { ...state, ...completed, actorId },
    };
  });
  const assigned = happened.map(({ type, id, version, assigneeId, previousAssigneeId }): Fact => {
    const task = events.find((event) => event.type === 'task' && event.id === id);
    const about = task?.type === 'task' ? { title: task.title, projectId: task.projectId, dueDate: task.dueDate } : {};
    return {
      type,
      object: 'task',
      id,
      version,
      data: { id, ...about, assigneeId, previousAssigneeId, actorId, version },
    };
  });
  return [...states, ...assigned];
}

function ofTimeEntry(entry: TimeEntryState, { userId, actorId }: { userId: string; actorId: string | null }): Fact {
  const { deleted: _, startedAt, endedAt, pauses, createdAt, updatedAt, ...rest } = entry;
  return {
    type: become('time-entry', entry),
    object: 'time-entry',
    id: entry.id,
    version: entry.version,
    data: {
      ...rest,
      userId,
      startTime: iso(startedAt),
      endTime: iso(endedAt),
      pauses: pauses.map(({ from, to }) => ({ from: iso(from), to: iso(to) })),
      createdAt: iso(createdAt),
      updatedAt: iso(updatedAt),
      actorId,
    },
  };
}

function ofPeople({ events, happened = [] }: Extract<Told<'people'>, object>['data']): Fact[] {
  const states = events.flatMap((event): Fact[] => {
    if (event.type !== 'person') return [];
    const { type, deleted, ...person } = event;
    const { id, version } = person;
    return [{ type: deleted ? 'person.deleted' : 'person.updated', object: type, id, version, data: person }];
  });
  const accepted = happened.map(({ type, id, userId, invitedBy }): Fact => {
    const person = events.find((event) => event.type === 'person' && event.id === userId);
    const about = person?.type === 'person' ? { name: person.name, role: person.role } : {};
    return { type, object: 'invitation', id, version: 1, data: { id, userId, ...about, invitedBy } };
  });
  return [...states, ...accepted];
}

function iso(instant: number): string;
function iso(instant: number | null): string | null;
function iso(instant: number | null): string | null {
  return instant === null ? null : new Date(instant).toISOString();
}
