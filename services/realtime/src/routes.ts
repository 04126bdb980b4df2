import type { AnyRoute } from '@worktide/runtime';

/** The HTTP side of this service. */
export function realtimeRoutes(): AnyRoute[] {
  return [];
}
