import type { OutboxEvent, Queryable } from '@worktide/postgres';
import { type Codec, type InvitationAccepted, type PeopleEvent, type PeopleRecord, topics } from '@worktide/schemas';
import type { Act } from '../action.ts';

/** Rows told in one transaction. */
const batch = 500;

export interface PeopleTeller {
  /**
   * Tells topic `people` of everybody, and every organisation, that has changed since it was told: whole states, never an
   * address. Several replicas may do it at once. Who has not proven their address is not told of: they may be gone tomorrow.
   * Rejects 503 while the schema registry or the database is away.
   */
  tell(): Promise<void>;
  /** The event of an organisation that is deleted, for the transaction that does it. */
  deleted(client: Queryable, organization: Deleted): Promise<OutboxEvent>;
  /**
   * The event of somebody who has accepted an invitation, for the transaction that makes them. Their state is told again by
   * `tell`, newer. Rejects 503 until the schema of the events was registered once.
   */
  accepted(
    client: Queryable,
    person: Accepted,
    invitation: Omit<InvitationAccepted, 'type' | 'userId'>,
  ): Promise<OutboxEvent>;
}

type OrganizationState = Extract<PeopleEvent, { type: 'organization' }>;
export type Deleted = Pick<OrganizationState, 'id' | 'name' | 'timezone' | 'subscriptionStatus'>;
type PersonState = Extract<PeopleEvent, { type: 'person' }>;
export type Accepted = Pick<PersonState, 'id' | 'name' | 'role' | 'timezone'> & { organizationId: string };

export function createPeopleTeller({ act, codec }: { act: Act; codec: Codec }): PeopleTeller {
  const event = (
    organizationId: string,
    events: PeopleEvent[],
    more: Pick<PeopleRecord, 'happened'> = {},
  ): OutboxEvent => ({
    topic: topics.people.name,
    key: organizationId,
    value: codec.encode({ organizationId, events, ...more } satisfies PeopleRecord),
  });

  /** One transaction's worth; how many rows that was. */
  const some = (): Promise<number> =>
    act(null, async ({ client, publish }) => {
      const told = [...(await claimOrganizations(client)), ...(await claimPeople(client))];
      for (const [organizationId, list] of Map.groupBy(told, (one) => one.organizationId)) {
        publish(
          event(
            organizationId,
            list.map((one) => one.state),
          ),
        );
      }
      return told.length;
    });

  return {
    async tell() {
      await codec.prepare();
      while ((await some()) > 0);
    },
    async deleted(client, organization) {
      await codec.prepare();
      const version = await nextVersion(client);
      return event(organization.id, [{ type: 'organization', ...organization, version, deleted: true }]);
    },
    async accepted(client, { organizationId, ...person }, invitation) {
      await codec.prepare();
      const version = await nextVersion(client);
      return event(organizationId, [{ type: 'person', ...person, status: 'active', version, deleted: false }], {
        happened: [{ type: 'invitation.accepted', userId: person.id, ...invitation }],
      });
    },
  };
}

async function nextVersion(client: Queryable): Promise<number> {
  const { rows } = await client.query<{ version: number }>("SELECT nextval('auth.people_versions') AS version");
  return rows[0]!.version;
}

interface Told {
  organizationId: string;
  state: PeopleEvent;
}

async function claimPeople(client: Queryable): Promise<Told[]> {
  const { rows } = await client.query<
    { organizationId: string } & Omit<Extract<PeopleEvent, { type: 'person' }>, 'type'>
  >(
    `UPDATE auth.users SET told = true WHERE (organization_id, id) IN (
       SELECT organization_id, id FROM auth.users WHERE NOT told AND verified_at IS NOT NULL
       ORDER BY organization_id, id LIMIT ${batch} FOR NO KEY UPDATE SKIP LOCKED)
     RETURNING organization_id AS "organizationId", id, name, role, status, timezone,
       nextval('auth.people_versions') AS version, deleted_at IS NOT NULL AS deleted`,
  );
  return rows.map(({ organizationId, ...state }) => ({ organizationId, state: { type: 'person', ...state } }));
}

async function claimOrganizations(client: Queryable): Promise<Told[]> {
  const { rows } = await client.query<Omit<OrganizationState, 'type' | 'deleted'>>(
    `UPDATE auth.organizations SET told = true WHERE id IN (
       SELECT id FROM auth.organizations o WHERE NOT told
         AND EXISTS (SELECT 1 FROM auth.users u WHERE u.organization_id = o.id AND u.verified_at IS NOT NULL)
       ORDER BY id LIMIT ${batch} FOR NO KEY UPDATE SKIP LOCKED)
     RETURNING id, name, timezone, subscription_status AS "subscriptionStatus", nextval('auth.people_versions') AS version`,
  );
  return rows.map((state) => ({ organizationId: state.id, state: { type: 'organization', ...state, deleted: false } }));
}
