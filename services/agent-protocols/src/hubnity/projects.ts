import * as schemas from '@worktide/schemas';
import { type Api, type OnBehalf, read } from './api.ts';
import { refused } from './refusals.ts';

/** The desktop takes all in one answer: the newest of more than anybody chooses from. */
const maxProjects = 2_000;
const pageSize = 200;
/** What is only shown beside something else is not waited for longer. */
const besideMs = 2_000;

/** Projects that a timer may be started for, newest first. @throws as `Api.call`. */
export async function activeProjects(api: Api, as: OnBehalf): Promise<schemas.Project[]> {
  const projects: schemas.Project[] = [];
  let cursor: string | null = null;
  do {
    const query = new URLSearchParams({ limit: String(pageSize), ...(cursor === null ? {} : { cursor }) });
    const answer = await api.call('workspace', { method: 'GET', path: `/projects/active?${query}` }, as);
    if (!answer.ok) throw refused(answer, 'look');
    const page: schemas.ProjectPage = read(schemas.projectPage, answer.body, 'workspace');
    projects.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor !== null && projects.length < maxProjects);
  return projects;
}

/** A project to be shown beside a time entry; undefined where it cannot be had, which is no reason to fail what was done. */
export async function projectOf(
  api: Api,
  entry: schemas.TimeEntry,
  as: OnBehalf,
): Promise<schemas.Project | undefined> {
  if (entry.projectId === null) return undefined;
  try {
    const answer = await api.call(
      'workspace',
      { method: 'GET', path: `/projects/${entry.projectId}`, timeoutMs: besideMs },
      as,
    );
    return answer.ok ? schemas.project.parse(answer.body) : undefined;
  } catch {
    return undefined;
  }
}

/** A time entry that the caller may see. @throws 404 where there is none, 403 where it is a colleague's. */
export async function entryOf(api: Api, id: string, as: OnBehalf): Promise<schemas.TimeEntry> {
  const answer = await api.call('session-writer', { method: 'GET', path: `/time-entries/${id}` }, as);
  if (!answer.ok) throw refused(answer, 'look');
  return read(schemas.timeEntry, answer.body, 'session-writer');
}
