import { type CodeEntry, codesIn } from './codes.ts';
import { services, variables } from './config.ts';
import { metricsIn } from './metrics.ts';
import { readSources } from './tree.ts';

/** From the repository's root on. */
export const pagePath = 'docs/reference.md';

/** What codes come with where only the run time has the words. */
const saidAtRunTime: Record<string, string> = {
  OVERLAP: 'The other entry and its time.',
  TIMER_RUNNING: 'The id of the open timer.',
  BAD_ENTRY: 'Which field of the offline entry is not as it must be, and why.',
  BAD_MINUTE: 'Which field of the counts of a minute is not as it must be, and why.',
  BAD_PING: 'Which field of the ping is not as it must be, and why.',
  BAD_RECORD: 'Which field of the record is not as it must be, and why.',
  HANDLER_FAILED: 'What the handler failed with.',
  INVALID: 'What of the item is not as it must be.',
  INVALID_DESCRIPTION: 'Why the description is none.',
  INVALID_TAGS: 'Why the tags are none: 20 at most, of 1–64 characters each.',
  INVALID_TASK_ID: 'taskId is no UUID.',
  INVALID_TIMEZONE: 'timezone is no zone of the IANA data base.',
};

/**
 * The page, made from the code.
 * @throws Error that names every entry without a description, and descriptions of what is not there any more.
 */
export async function renderReference(): Promise<string> {
  const files = await readSources();
  const { errors, items } = codesIn(files);
  const metrics = metricsIn(files);
  const environment = variables();
  const unsaid = new Set(Object.keys(saidAtRunTime));
  for (const item of items) {
    const said = saidAtRunTime[item.code];
    if (said === undefined) continue;
    unsaid.delete(item.code);
    item.texts = [said];
  }
  const undescribed = [
    ...[...errors, ...items].filter(({ texts }) => texts.length === 0).map(({ code }) => code),
    ...metrics.filter(({ help }) => help === '').map(({ name }) => name),
    ...environment.filter(({ texts }) => texts.size === 0).map(({ name }) => name),
  ];
  if (undescribed.length > 0) throw new Error(`without a description: ${undescribed.join(', ')}`);
  if (unsaid.size > 0) throw new Error(`described, but not there: ${[...unsaid].join(', ')}`);

  return `# Reference

Made from the code by \`npm run reference\`; a test compares. What belongs together and what to do about it is in
[operating.md](operating.md).

## Error codes

Every error is \`{"statusCode", "code", "message", "timestamp", "path", "requestId", "details"?}\`. Codes are stable, messages are for
people; \`{…}\` stands for what is filled in. 500 is ours: its cause is in the log, and most of these end a start or a command and are
nobody's answer. 503 is over by itself, with \`Retry-After\`.

${table(
  ['code', 'status', 'message', 'from'],
  errors.map((each) => [code(each.code), each.statuses.toSorted().join(', ') || '4xx', ...rest(each)]),
)}

## Codes of single items

In \`rejected\` and \`warnings\` of pings, in \`details\` of errors, as \`failureCode\` of screenshots, as \`failure.code\` of exports, and as the reason of dead letters. Where
all pings of a request are refused for one reason its error has that code, with status 400. \`details\` of \`VALIDATION_FAILED\` carry
the validator's own codes besides, in capitals (\`INVALID_TYPE\`, \`TOO_BIG\`, …).

${table(
  ['code', 'message', 'from'],
  items.map((each) => [code(each.code), ...rest(each)]),
)}

## Metrics

At \`/metrics\`, beside those that the client library collects of each process (\`process_…\`, \`nodejs_…\`).

${table(
  ['metric', 'kind', 'labels', 'what', 'from'],
  metrics.map((each) => [
    code(each.name),
    each.kind,
    each.labels.map(code).join(', '),
    each.help,
    each.packages.join(', '),
  ]),
)}

## Configuration

Variables of the environment. An empty one is as one that is not set. \`npm start\` takes those of all services too, but for those of
its engines. Besides, Node reads \`NODE_EXTRA_CA_CERTS\`
([security/tls.md](security/tls.md)), and the S3 client the usual AWS variables where \`OBJECT_STORE_URL\` has no key.

${table(
  ['variable', 'unless set', 'for', 'read by'],
  environment.map(({ name, defaults, texts, readers }) => [
    code(name),
    byReader(defaults, (text) => (text === '' || text === 'required' ? text : code(text))),
    byReader(texts, (text) => text),
    services.every((service) => readers.includes(service))
      ? ['every service', ...readers.filter((reader) => !services.includes(reader))].join(', ')
      : readers.join(', '),
  ]),
)}
`;
}

const code = (text: string): string => `\`${text}\``;
const rest = ({ texts, packages }: CodeEntry): [string, string] => [texts.join(' / '), packages.toSorted().join(', ')];

/** One value as it is, several each with those whose it is. */
function byReader(values: ReadonlyMap<string, string[]>, show: (value: string) => string): string {
  const [first, ...more] = values;
  if (first && more.length === 0) return show(first[0]);
  return [...values].map(([value, readers]) => `${show(value) || 'nothing'} (${readers.join(', ')})`).join('; ');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
