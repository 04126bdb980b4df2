import { deadLetterHeaders, type EventLog, type StoredRecord } from '@worktide/event-log';
import type { Whose } from './arguments.ts';
import { deadTopicOf, isDeadTopic, lettersOf, replayGroup } from './topics.ts';

const previewCharacters = 200;

/** Prints the dead letters of one topic or of all, and how many `replay --all` would put back. */
export async function listDeadLetters(
  log: EventLog,
  { topic, whose, from, limit }: { topic?: string; whose: Whose; from: number; limit: number },
  out: (line: string) => void,
): Promise<void> {
  const topics =
    topic === undefined ? (await log.admin.topicNames()).filter(isDeadTopic).sort() : [await deadTopicOf(log, topic)];
  for (const name of topics) {
    let shown = 0;
    let next = '';
    for await (const letter of lettersOf(log, name, { whose, from })) {
      out(describe(letter));
      if (++shown < limit) continue;
      next = `, next: --from ${letter.offset + 1}`;
      break;
    }
    const { [name]: waiting } = await log.admin.lag(replayGroup, [name]);
    out(`${name}: ${shown} shown${next}; ${waiting} not replayed yet`);
  }
}

function describe({ offset, key, value, headers }: StoredRecord): string {
  const of = (name: keyof typeof deadLetterHeaders): string => headers[deadLetterHeaders[name]] ?? '?';
  return [
    `${offset}  ${of('time')}  ${of('code')}: ${of('message')}`,
    `    from ${of('topic')} partition ${of('partition')} offset ${of('offset')}, refused by ${of('group')}`,
    `    organization ${of('organization')} user ${of('user')}`,
    `    key ${key}, ${headers[deadLetterHeaders.leftOut] ?? value.length} bytes: ${preview(value)}`,
  ]
    .map(printable)
    .join('\n');
}

function preview(value: Buffer): string {
  // Confluent's wire format: a zero byte and the schema's id come before the JSON.
  const json = value[0] === 0 ? value.subarray(5) : value;
  // At most four bytes a character; the record may be 900 KB.
  const text = json.subarray(0, previewCharacters * 4).toString('utf8');
  return text.length > previewCharacters || json.length > previewCharacters * 4
    ? `${text.slice(0, previewCharacters)}…`
    : text;
}

/** What was refused may be hostile: control characters would steer the operator's terminal. */
const printable = (text: string): string => text.replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, '\u{fffd}');
