import { AppError, type Caller, type Role } from '@worktide/runtime';
import type { OrganizationSettings } from '@worktide/schemas';

/** What somebody is to an object: everybody of the organisation is a member, some have a role, some made it. */
export type Relation = 'member' | 'manager' | 'admin' | 'creator' | 'assignee';

/** Everything, or a change of these fields and no others. */
type Grant = true | readonly string[];

/**
 * Who may do what, all of it. Somebody may do what any of their relations allows. Whose organisation an object is of is
 * not among them: another organisation's is not there at all.
 */
export const policies = {
  'project.read': { member: true },
  'project.create': { manager: true, admin: true },
  'project.change': { manager: true, admin: true },
  'project.delete': { manager: true, admin: true },
  'project.restore': { manager: true, admin: true },

  'team.read': { member: true },
  'team.create': { manager: true, admin: true },
  'team.change': { manager: true, admin: true },
  'team.delete': { manager: true, admin: true },
  'team.add-member': { manager: true, admin: true },
  'team.remove-member': { manager: true, admin: true },

  // Of those that they see at all: `sightOf`.
  'task.read': { member: true },
  'task.create': { member: true },
  'task.change': { creator: true, manager: true, admin: true, assignee: ['status'] },
  'task.delete': { creator: true, manager: true, admin: true },
  'task.restore': { creator: true, manager: true, admin: true },
} as const satisfies Record<string, Partial<Record<Relation, Grant>>>;

export type Action = keyof typeof policies;

const grantsOf = (action: Action): Partial<Record<Relation, Grant>> => policies[action];

/** The roles of an action that depends on nothing but the role, for the route that stands for it. */
export function rolesFor(action: Action): Role[] {
  const { member, creator, assignee, ...roles } = grantsOf(action);
  if (member || creator || assignee) throw new Error(`${action} does not depend on the role alone`);
  return (['admin', 'manager'] as const).filter((role) => roles[role]);
}

/** Of an object, what relations come from. */
export interface Owned {
  creatorId: string;
  assigneeId: string | null;
}

/** Which tasks of the organisation there are for somebody; all others do not exist, whatever is asked of them. */
export interface Sight {
  /** Those alone that this user created or is assigned to; null: all. */
  onlyOf: string | null;
}

/**
 * @param settings of the caller's organisation, asked for only where they matter.
 * Rejects as that does.
 */
export async function sightOf(
  { role, userId }: Pick<Caller, 'role' | 'userId'>,
  settings: () => Promise<Pick<OrganizationSettings, 'taskVisibility'> | undefined>,
): Promise<Sight> {
  if (role !== 'employee') return { onlyOf: null };
  // Nobody there to be asked: the least there is.
  return { onlyOf: (await settings())?.taskVisibility === 'organization' ? null : userId };
}

function relationsOf({ userId, role }: Caller, object: Owned): Relation[] {
  const relations: Relation[] = ['member'];
  if (role !== 'employee') relations.push(role);
  if (object.creatorId === userId) relations.push('creator');
  if (object.assigneeId === userId) relations.push('assignee');
  return relations;
}

/**
 * Refuses what the table does not grant.
 * @param fields those that the action would change, where it is a change.
 * @throws 403 `FORBIDDEN`, naming the fields where others would have been allowed.
 */
export function authorize(action: Action, caller: Caller, object: Owned, fields: readonly string[] = []): void {
  const grants = grantsOf(action);
  const allowed: string[] = [];
  for (const relation of relationsOf(caller, object)) {
    const grant = grants[relation];
    if (grant === true) return;
    if (grant) allowed.push(...grant);
  }
  const refused = fields.filter((field) => !allowed.includes(field));
  if (allowed.length > 0 && refused.length === 0) return;
  throw new AppError('FORBIDDEN', 'This is not allowed for you.', {
    statusCode: 403,
    ...(allowed.length > 0
      ? { details: refused.map((field) => ({ path: `body.${field}`, code: 'FORBIDDEN', message: 'not for you' })) }
      : {}),
  });
}
