/**
 * Who hears what. A room is named by what it is about and holds no name that two organisations could share: ids are
 * unique in the system.
 */
export const rooms = {
  /** A person's own sockets. */
  user: (userId: string): string => `user:${userId}`,
  /** Managers and administrators of an organisation. */
  organization: (organizationId: string): string => `organization:${organizationId}`,
  /** Those who lead a person. */
  person: (userId: string): string => `person:${userId}`,
  /** Those who asked for a task. */
  task: (taskId: string): string => `task:${taskId}`,
};

/** Whether one is in a room by a right that somebody else may end: to lead a person, to see a task. */
export const isByRight = (room: string): boolean => /^(person|task):/.test(room);

/** Of what is about a person: they themselves, and all who may read their reports. */
export const aboutPerson = (organizationId: string, userId: string): string[] => [
  rooms.user(userId),
  rooms.organization(organizationId),
  rooms.person(userId),
];
