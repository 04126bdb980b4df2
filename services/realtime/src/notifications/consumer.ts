import type { Consumer, EventLog } from '@worktide/event-log';
import { checkPostgres, type Pool } from '@worktide/postgres';
import type { SchemaRegistry } from '@worktide/schemas';
import { createTopicReader, type Told } from '../told/read-topics.ts';
import { type Draft, ofAlerts, ofExports, ofPeople, ofWorkspace, type TeamDraft } from './drafts.ts';
import { storeKnown } from './known.ts';
import { draftsForTeams } from './store.ts';
import type { Teller } from './tell.ts';

export const group = 'realtime-notifications';
const topicNames = ['workspace-events', 'alerts', 'people', 'exports'] as const;

/** What lay on the log for longer is nobody's news: a service that is new, or was away for a weekend, tells of none of it. */
export const newsMs = 3 * 86_400_000;
/** Alerts of so many are told to all who manage them in one transaction. */
const maxRecords = 500;

/** Makes notifications of what topics tell. Read again, they make none again. */
export function followForNotifications(options: {
  eventLog: Pick<EventLog, 'consume'>;
  registry: SchemaRegistry;
  pool: Pool;
  teller: Teller;
  /** For tests. */
  now?: () => number;
}): Promise<Consumer> {
  const { eventLog, registry, pool, teller, now = Date.now } = options;
  const reader = createTopicReader(registry, [...topicNames]);
  return eventLog.consume({
    group,
    topics: reader.topics,
    maxRecords,
    ready: reader.prepare,
    answers: checkPostgres(pool),
    async handle(batch, context) {
      const told = reader.read(batch, context);
      const { drafts, teams } = draftsOf(told.filter(({ at }) => at > now() - newsMs));
      await teller.tell(async (client) => {
        await storeKnown(
          client,
          told.flatMap(({ topic, data }) => (topic === 'workspace-events' ? [data] : [])),
        );
        return [...drafts, ...(await draftsForTeams(client, teams))];
      });
    },
  });
}

function draftsOf(told: readonly Told<(typeof topicNames)[number]>[]): { drafts: Draft[]; teams: TeamDraft[] } {
  const drafts: Draft[] = [];
  const teams: TeamDraft[] = [];
  for (const { topic, data } of told) {
    if (topic === 'workspace-events') drafts.push(...ofWorkspace(data));
    else if (topic === 'people') drafts.push(...ofPeople(data));
    else if (topic === 'exports') drafts.push(...ofExports(data));
    else {
      const { own, team } = ofAlerts(data);
      drafts.push(...own);
      teams.push(...team);
    }
  }
  return { drafts, teams };
}
