/**
 * Sends an event to whatever sockets a person has, of any replica. Never before the commit of what it tells, never awaited, and
 * never throws: who has no socket, or loses it now, reads it in a list.
 */
export type Push = (organizationId: string, userId: string, event: string, payload: object) => void;
