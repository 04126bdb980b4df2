import { type AnyRoute, route } from '@worktide/runtime';
import { z } from 'zod';

const info = z
  .object({ hostname: z.string(), version: z.string(), testing: z.boolean(), device_id: z.string() })
  .meta({ id: 'ActivityWatchInfo' });

/** What clients look for before anything else; the version is that of the protocol that is spoken. */
export const infoRoute = (): AnyRoute =>
  route({
    method: 'get',
    path: '/api/0/info',
    operationId: 'activityWatchInfo',
    summary: 'Say that ActivityWatch is spoken here',
    tag: 'activitywatch',
    access: 'public',
    agents: true,
    responses: { 200: { description: 'The server.', schema: info } },
    handler: () => ({
      status: 200,
      body: { hostname: 'worktide', version: 'v0.13.2 (worktide)', testing: false, device_id: 'worktide' },
    }),
  });
