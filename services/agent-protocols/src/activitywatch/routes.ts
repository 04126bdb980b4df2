import type { AnyRoute, RawRoute } from '@worktide/runtime';
import { bucketRoutes } from './bucket-routes.ts';
import { eventLists } from './event-lists.ts';
import { eventRoutes } from './event-routes.ts';
import { importRoute } from './import.ts';
import { infoRoute } from './info.ts';
import { type HeartbeatDependencies, heartbeatRoute } from './post-heartbeat.ts';
import { type QueryDependencies, queryRoute } from './query/query-route.ts';
import { settingsRoutes } from './settings.ts';

/** ActivityWatch as a server speaks it, for each device on its own. */
export function activityWatch(deps: HeartbeatDependencies & QueryDependencies): {
  routes: AnyRoute[];
  rawRoutes: RawRoute[];
} {
  return {
    routes: [
      infoRoute(),
      ...bucketRoutes(deps),
      ...eventRoutes(deps),
      importRoute(deps),
      queryRoute(deps),
      ...settingsRoutes(deps),
    ],
    rawRoutes: [heartbeatRoute(deps), ...eventLists(deps)],
  };
}
