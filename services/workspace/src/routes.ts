import type { AnyRoute } from '@worktide/runtime';
import type { WorkspaceContext } from './context.ts';
import { projectRoutes } from './projects/routes.ts';
import { taskRoutes } from './tasks/routes.ts';
import { teamRoutes } from './teams/routes.ts';

/** Every operation of this service. */
export const workspaceRoutes = (context: WorkspaceContext): AnyRoute[] => [
  ...projectRoutes(context),
  ...teamRoutes(context),
  ...taskRoutes(context),
];
