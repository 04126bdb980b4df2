import type { Area } from './area.ts';
import type { Context } from './context.ts';
import { fillPings } from './load/fill.ts';
import { yesterday } from './workload.ts';

export interface FullTopic {
  records: number;
  pings: number;
}

export const fullTopicUsers = 2_000;
const pingsPerUser = 2_500;
export const pingsPerRecord = 25;

/** Area name whose topics hold the backlog that several parts work off. */
export const fullLog = 'full';

/** Fills the topic with 5 million pings of 2,000 users (times the scale), once for all parts that want it. */
export function fullTopic(context: Context, area: Area): Promise<FullTopic> {
  const { shared, options, say, lifecycle } = context;
  shared.fullTopic ??= (async () => {
    const perUser = Math.max(pingsPerRecord, Math.round(pingsPerUser * options.scale));
    const pings = fullTopicUsers * perUser;
    say(`Filling the topic with ${pings.toLocaleString('en')} pings of ${fullTopicUsers} users …`);
    const fill = { users: fullTopicUsers, pingsPerUser: perUser, pingsPerRecord, day: yesterday() };
    return { records: await fillPings(area.eventLog, fill, lifecycle), pings };
  })();
  return shared.fullTopic;
}
