import type { AnyRoute, RawRoute } from '@worktide/runtime';
import type { PingQuota } from '@worktide/service';
import type { ActivityDependencies } from './activity.ts';
import { activityRoutes } from './activity-routes.ts';
import { type AuthDependencies, authRoutes } from './auth-routes.ts';
import { entryRoutes } from './entry-routes.ts';
import { type ScreenshotDependencies, screenshotRoutes } from './screenshot-routes.ts';

export type HubnityDependencies = ActivityDependencies &
  AuthDependencies &
  ScreenshotDependencies & { quota: PingQuota };

/** All that Hubnity's desktop calls, under `/api`: its address of the server is built in, and ends there. */
export function hubnityRoutes(deps: HubnityDependencies): { routes: AnyRoute[]; rawRoutes: RawRoute[] } {
  const { routes, rawRoutes } = screenshotRoutes(deps);
  return { routes: [...authRoutes(deps), ...entryRoutes(deps), ...activityRoutes(deps), ...routes], rawRoutes };
}
