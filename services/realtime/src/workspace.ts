import { askInternal } from '@worktide/identity';
import { type Caller, unavailable } from '@worktide/runtime';
import { foundTeam, seesTask } from '@worktide/schemas';

/** What only workspace knows. All of it rejects 503 while that is away: nobody is let in by a guess. */
export interface Workspace {
  seesTask(caller: Caller, taskId: string): Promise<boolean>;
  /** Undefined where there is no such team. */
  membersOf(organizationId: string, teamId: string): Promise<readonly string[] | undefined>;
}

/** @param url of workspace's internal routes. */
export function askWorkspace(url: string | undefined, internalToken: string): Workspace {
  function workspace() {
    if (url === undefined) throw unavailable('workspace', new Error('WORKSPACE_URL is not set'));
    return { service: 'workspace', url, internalToken };
  }
  return {
    async seesTask({ organizationId, userId, role }, taskId) {
      const asked = { organizationId, userId, role, taskId };
      return (await askInternal(workspace(), seesTask, '/internal/workspace/sees-task', asked)).sees;
    },
    async membersOf(organizationId, teamId) {
      const { userIds } = await askInternal(workspace(), foundTeam, '/internal/workspace/team', {
        organizationId,
        teamId,
      });
      return userIds ?? undefined;
    },
  };
}
