import { type AnyRoute, route } from '@worktide/runtime';
import { organizationStorage } from '@worktide/schemas';
import type { Stored } from './stored.ts';

export const storageRoute = (stored: Pick<Stored, 'usage'>): AnyRoute =>
  route({
    method: 'get',
    path: '/api/v1/organization/storage',
    operationId: 'organizationStorage',
    summary: 'What the organization has stored, and what its plan takes',
    description:
      'In bytes, as of some seconds ago; a limit of null is none. Screenshots: at present, as they are kept. Pings: sent ' +
      'this month (UTC). Past a limit what is sent is refused with 409 `STORAGE_QUOTA_EXCEEDED`.',
    tag: 'organization',
    access: 'session',
    roles: ['admin', 'manager'],
    responses: { 200: { description: 'Bytes by kind.', schema: organizationStorage } },
    handler: async ({ caller }) => ({ status: 200, body: await stored.usage(caller.organizationId) }),
  });
