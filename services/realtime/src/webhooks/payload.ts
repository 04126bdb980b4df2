import { derivedUuid } from '@worktide/runtime';
import type { Happened } from './events.ts';

/** A body is no larger: an object above it is told of by its id alone. */
export const maxPayloadBytes = 65_536;

/** One for each webhook and event: whoever reads of the event again finds that it is there. */
export const deliveryId = (webhookId: string, eventId: string): string => derivedUuid('delivery', webhookId, eventId);

/** The body of a delivery. It names its own id, so that whoever signs the body signs that. */
export function payloadOf(
  id: string,
  { id: eventId, type, organizationId, at, data }: Omit<Happened, 'type' | 'object'> & { type: string },
): string {
  const about = { id, eventId, type, organizationId, at: new Date(at).toISOString() };
  const whole = JSON.stringify({ ...about, data });
  if (Buffer.byteLength(whole) <= maxPayloadBytes) return whole;
  const { id: objectId, version } = data as { id?: string; version?: number };
  return JSON.stringify({ ...about, data: { id: objectId, version }, truncated: true });
}
