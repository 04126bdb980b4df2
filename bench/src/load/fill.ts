import type { EventLog } from '@worktide/event-log';
import type { Lifecycle } from '@worktide/runtime';
import { createCodec, openSchemaRegistry, type PingEvent, topics } from '@worktide/schemas';
import { organizationId, pingEventAt, userId } from '../workload.ts';

export interface Fill {
  users: number;
  pingsPerUser: number;
  pingsPerRecord: number;
  day: number;
  /** The ping of a user and slot; the common workload unless said. */
  ping?: (day: number, user: number, slot: number) => PingEvent;
}

/** Records sent with one call, and calls that may be on their way: some MB in all. */
const recordsPerSend = 200;
const sendsUnderWay = 4;

/**
 * Writes pings straight onto the topic, as the gateway would: all users take turns, each user's pings in order.
 * @returns the number of records.
 */
export async function fillPings(eventLog: EventLog, fill: Fill, lifecycle: Lifecycle): Promise<number> {
  const { users, pingsPerUser, pingsPerRecord, day, ping = pingEventAt } = fill;
  const codec = createCodec(openSchemaRegistry('local:'), topics.pings);
  await codec.prepare();
  const producer = eventLog.producer();
  const perUser = Math.ceil(pingsPerUser / pingsPerRecord);
  const total = users * perUser;
  const receivedAt = Date.now();

  const recordAt = (n: number): { key: string; value: Buffer } => {
    const user = n % users;
    const first = Math.floor(n / users) * pingsPerRecord;
    const count = Math.min(pingsPerRecord, pingsPerUser - first);
    const pings = Array.from({ length: count }, (_, i) => ping(day, user, first + i));
    return { key: userId(user), value: codec.encode({ organizationId, userId: userId(user), receivedAt, pings }) };
  };

  const underWay: Promise<void>[] = [];
  for (let n = 0; n < total; n += recordsPerSend) {
    if (lifecycle.signal.aborted) throw new Error('stopped while filling the topic');
    const count = Math.min(recordsPerSend, total - n);
    underWay.push(
      producer.send(
        topics.pings.name,
        Array.from({ length: count }, (_, i) => recordAt(n + i)),
      ),
    );
    if (underWay.length >= sendsUnderWay) await underWay.shift();
  }
  await Promise.all(underWay);
  await producer.close();
  return total;
}
