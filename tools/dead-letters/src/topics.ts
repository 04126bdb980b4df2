import { deadLetterHeaders, type EventLog, type StoredRecord } from '@worktide/event-log';
import { deadLetterTopic } from '@worktide/schemas';
import type { Whose } from './arguments.ts';

/** Its committed offset is how far `replay --all` has come. */
export const replayGroup = 'dead-letters-replay';

export const isDeadTopic = (name: string): boolean => name.endsWith(deadLetterTopic(''));

/** The dead-letter topic of `topic`. @throws Error where there is none. */
export async function deadTopicOf(log: EventLog, topic: string): Promise<string> {
  const names = await log.admin.topicNames();
  const dead = deadLetterTopic(topic);
  if (names.includes(dead)) return dead;
  const known = names.filter((name) => names.includes(deadLetterTopic(name))).sort();
  throw new Error(`there is no topic ${dead}; dead letters are kept for: ${known.join(', ') || 'no topic'}`);
}

/** Read at once: a dead letter may hold a whole record. */
const pageSize = 500;

/** The dead letters of somebody, or all, from an offset on, oldest first. */
export async function* lettersOf(
  log: EventLog,
  dead: string,
  { whose, from }: { whose: Whose; from: number },
): AsyncGenerator<StoredRecord> {
  const { organization, user } = whose;
  for (let fromOffset = from; ; ) {
    const page = await log.admin.read(dead, { partition: 0, fromOffset, limit: pageSize });
    for (const letter of page) {
      const of = (name: 'organization' | 'user') => letter.headers[deadLetterHeaders[name]]?.toLowerCase();
      if (organization !== undefined && of('organization') !== organization) continue;
      if (user !== undefined && of('user') !== user) continue;
      yield letter;
    }
    const last = page.at(-1);
    if (!last) return;
    fromOffset = last.offset + 1;
  }
}
