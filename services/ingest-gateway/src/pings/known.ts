/** What a process remembers of users, by organisation: the streams that it has seen. */
export interface Known {
  /** Empty where it knows nothing of the user. */
  of(organizationId: string, userId: string): ReadonlySet<string>;
  add(organizationId: string, userId: string, stream: string): void;
  readonly size: number;
}

interface Organization {
  /** In the order in which they came. */
  users: Map<string, Set<string>>;
  size: number;
}

const nothing: ReadonlySet<string> = new Set();

/** What a user or a stream takes besides its characters, roughly. */
const overhead = 100;

/**
 * Remembers the streams of users within a bound that nobody can use up for others: where there are too many, the
 * organisation that has most forgets those of its users that it has had for longest.
 * @param maxSize characters, and something for each user and stream.
 */
export function createKnown(maxSize = 32 * 1024 * 1024): Known {
  const organizations = new Map<string, Organization>();
  let total = 0;

  function grow(organization: Organization, by: number): void {
    organization.size += by;
    total += by;
  }

  /** A tenth more than needed, so that not every call of a full one comes here. */
  function makeRoom(): void {
    while (total > maxSize * 0.9) {
      let [most] = organizations;
      for (const each of organizations) if (each[1].size > most![1].size) most = each;
      const [id, organization] = most!;
      const half = organization.size / 2;
      for (const [userId, streams] of organization.users) {
        if (total <= maxSize * 0.9 || organization.size <= half) break;
        organization.users.delete(userId);
        grow(organization, -overhead);
        for (const stream of streams) grow(organization, -stream.length - overhead);
      }
      if (organization.users.size === 0) organizations.delete(id);
    }
  }

  return {
    of: (organizationId, userId) => organizations.get(organizationId)?.users.get(userId) ?? nothing,
    add(organizationId, userId, stream) {
      const organization = organizations.get(organizationId) ?? { users: new Map(), size: 0 };
      organizations.set(organizationId, organization);
      let streams = organization.users.get(userId);
      if (!streams) {
        streams = new Set();
        organization.users.set(userId, streams);
        grow(organization, overhead);
      }
      if (streams.has(stream)) return;
      streams.add(stream);
      grow(organization, stream.length + overhead);
      if (total > maxSize) makeRoom();
    },
    get size() {
      return total;
    },
  };
}
