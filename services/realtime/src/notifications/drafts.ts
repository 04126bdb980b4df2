import { derivedUuid } from '@worktide/runtime';
import type { AlertsRecord, ExportsRecord, NotificationType, PeopleRecord, WorkspaceRecord } from '@worktide/schemas';

/** What somebody is to be told. */
export interface Draft {
  organizationId: string;
  userId: string;
  /** The same for the same receiver and fact, whoever reads of it and how often. */
  id: string;
  type: NotificationType;
  title: string;
  body: string;
  link: string;
}

/** About whom something is to be told to those who lead them; their names are looked up. */
export interface TeamDraft {
  organizationId: string;
  /** Whom it is about. */
  userId: string;
  fact: string;
  body: string;
  link: string;
}

type Words = Pick<Draft, 'type' | 'title' | 'body' | 'link'>;

/** @param facts what it is about and that of it: all that makes it another notification. */
export const draftFor = (
  { organizationId, userId }: Pick<Draft, 'organizationId' | 'userId'>,
  words: Words,
  ...facts: (string | number)[]
): Draft => ({
  organizationId,
  userId,
  id: derivedUuid('notification', organizationId, userId, words.type, ...facts),
  ...words,
});

/** Longer words are a title's or a message's own fault. */
const maxWords = 300;
const short = (text: string): string => (text.length <= maxWords ? text : `${text.slice(0, maxWords)}…`.toWellFormed());

/** Who was given a task, and who had it before; nobody is told what they did themselves. */
export function ofWorkspace({ organizationId, actorId, events, happened = [] }: WorkspaceRecord): Draft[] {
  return happened.flatMap(({ id, version, assigneeId, previousAssigneeId }) => {
    const task = events.find((event) => event.type === 'task' && event.id === id);
    const words = { body: short(task?.type === 'task' ? task.title : ''), link: `/tasks/${id}` };
    const drafts: Draft[] = [];
    if (assigneeId !== actorId) {
      const title = 'A task is yours now';
      drafts.push(
        draftFor({ organizationId, userId: assigneeId }, { type: 'task.assigned', title, ...words }, id, version),
      );
    }
    if (previousAssigneeId !== null && previousAssigneeId !== actorId) {
      const title = 'A task of yours was given to somebody else';
      const whose = { organizationId, userId: previousAssigneeId };
      drafts.push(draftFor(whose, { type: 'task.reassigned', title, ...words }, id, version));
    }
    return drafts;
  });
}

const alertTitles = {
  idle: 'Your timer runs, and there is no activity',
  overtime: 'You have worked overtime',
} as const;

/** Alerts that are open, each once: one that resolves itself and opens again is the same. */
export function ofAlerts({ organizationId, userId, alerts }: AlertsRecord): { own: Draft[]; team: TeamDraft[] } {
  const open = alerts.filter(({ resolvedAt }) => resolvedAt === null);
  return {
    own: open.map(({ id, type, message }) => {
      const words = { title: alertTitles[type], body: short(message), link: `/alerts/${id}` };
      return draftFor({ organizationId, userId }, { type: 'alert.own', ...words }, id);
    }),
    team: open.map(({ id, message }) => ({
      organizationId,
      userId,
      fact: id,
      body: short(message),
      link: `/alerts/${id}`,
    })),
  };
}

export function ofPeople({ organizationId, events, happened = [] }: PeopleRecord): Draft[] {
  return happened.map(({ id, userId, invitedBy }) => {
    const person = events.find((event) => event.type === 'person' && event.id === userId);
    const title = `${short(person?.name ?? 'Somebody')} has accepted your invitation`;
    const words = { title, body: '', link: `/people/${userId}` };
    return draftFor({ organizationId, userId: invitedBy }, { type: 'invitation.accepted', ...words }, id);
  });
}

export function ofExports({ organizationId, userId, exports }: ExportsRecord): Draft[] {
  return exports.map(({ id, status, fileName }) => {
    const title = status === 'ready' ? 'Your export is ready' : 'Your export has failed';
    const words = { title, body: short(fileName), link: `/reports/exports/${id}` };
    return draftFor({ organizationId, userId }, { type: `export.${status}`, ...words }, id);
  });
}
