import { type Looks, noteLook } from '@worktide/audit';
import type { ClickHouse } from '@worktide/clickhouse';
import type { Identity } from '@worktide/identity';
import { type AnyRoute, type PeopleTurns, route, unauthorized } from '@worktide/runtime';
import { privacyPreview, privacyPreviewBody } from '@worktide/schemas';
import { previewPrivacy } from './preview.ts';

export interface PrivacyRoutesDeps {
  clickhouse: Pick<ClickHouse, 'query'>;
  /** The same as the reports': both ask ClickHouse for much. */
  turns: PeopleTurns;
  /** For the zone whose yesterday is meant. */
  organization: Identity['organization'];
  looks: Looks;
}

export function privacyRoutes({ clickhouse, turns, organization, looks }: PrivacyRoutesDeps): AnyRoute[] {
  return [
    route({
      method: 'post',
      path: '/api/v1/privacy/preview',
      operationId: 'previewPrivacy',
      summary: 'What yesterday’s pings would have lost',
      description:
        'Under these rules, of what was kept of yesterday; nothing is changed. Pauses and private windows are not in it. ' +
        'Numbers alone: no application, title or address is shown.',
      tag: 'privacy',
      access: 'session',
      roles: ['admin'],
      body: privacyPreviewBody,
      responses: { 200: { description: 'Of 100,000 pings at most.', schema: privacyPreview } },
      handler: async ({ req, requestId, caller, body, signal }) => {
        const { organizationId } = caller;
        const known = await organization(organizationId);
        // Deleted since the credential was checked.
        if (!known) throw unauthorized();
        const asked = { organizationId, timezone: known.timezone };
        const work = () => previewPrivacy(clickhouse, asked, body.privacy, { signal });
        const preview = await turns.run(caller, work, { signal });
        const look = { action: 'privacy.previewed', entityType: 'organization', entityId: organizationId };
        noteLook(looks, { req, requestId, caller }, look);
        return { status: 200, body: preview };
      },
    }),
  ];
}
