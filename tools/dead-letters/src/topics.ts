import type { EventLog } from '@worktide/event-log';
import { deadLetterTopic } from '@worktide/schemas';

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
