import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { parseArgs } from 'node:util';
import kafkajs, { type Message } from 'kafkajs';

/**
 * The least that an HTTP service in front of Kafka can do on Node: node:http, JSON.parse, and kafkajs sending the body
 * as it came, as one record; what queues while one send is in flight is the next. No credential, no verdicts, no
 * metrics. The 202 waits for acks=all, as ours does.
 */

const { values } = parseArgs({
  options: { port: { type: 'string' }, broker: { type: 'string' }, topic: { type: 'string' } },
});
const topic = values.topic!;
const producer = new kafkajs.Kafka({ brokers: [values.broker!], logLevel: kafkajs.logLevel.ERROR }).producer({
  idempotent: false,
});
await producer.connect();

const maxSendBytes = 1_000_000;

interface Waiting {
  message: Message;
  bytes: number;
  answer: (error?: unknown) => void;
}
let queue: Waiting[] = [];
let sending = false;

async function pump(): Promise<void> {
  sending = true;
  while (queue.length > 0) {
    let bytes = 0;
    let count = 0;
    while (count < queue.length && (count === 0 || bytes + queue[count]!.bytes <= maxSendBytes)) {
      bytes += queue[count++]!.bytes;
    }
    const batch = queue.slice(0, count);
    queue = queue.slice(count);
    try {
      await producer.send({ topic, acks: -1, messages: batch.map(({ message }) => message) });
      for (const { answer } of batch) answer();
    } catch (error) {
      for (const { answer } of batch) answer(error);
    }
  }
  sending = false;
}

function take(req: IncomingMessage, res: ServerResponse, body: Buffer): void {
  const pings = JSON.parse(body.toString('utf8')) as unknown[];
  const answer = (error?: unknown): void => {
    const text = JSON.stringify({ accepted: pings.length, rejected: [] });
    res.writeHead(error ? 503 : 202, {
      'content-type': 'application/json; charset=utf-8',
      'content-length': Buffer.byteLength(text),
    });
    res.end(text);
  };
  const key = String(req.headers['x-user']);
  queue.push({ message: { key, value: body }, bytes: key.length + body.length + 64, answer });
  if (!sending) setImmediate(() => sending || pump());
}

const server = createServer((req, res) => {
  const chunks: Buffer[] = [];
  req.on('data', (chunk: Buffer) => chunks.push(chunk));
  req.on('end', () => take(req, res, chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)));
});
server.listen(Number(values.port), '127.0.0.1', () => process.stdout.write('listening\n'));
process.once('SIGTERM', () => process.exit(0));
