import type { AnyRoute } from '@worktide/runtime';
import { type PresenceRoutesOptions, presenceRoutes } from './presence/routes.ts';

/** The HTTP side of this service. */
export function realtimeRoutes(options: {
  presence: PresenceRoutesOptions;
  notifications: AnyRoute[];
  webhooks: AnyRoute[];
}): AnyRoute[] {
  return [...presenceRoutes(options.presence), ...options.notifications, ...options.webhooks];
}
