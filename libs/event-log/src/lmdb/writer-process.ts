import { createMetrics, silentLogger } from '@worktide/runtime';
import { openEventLog } from '../open.ts';

/**
 * A process of its own for the tests: writes `<name>-0`, `<name>-1`, … until it is killed, eight sends at a time,
 * and says on stdout what was acknowledged.
 * usage: node writer-process.ts <url> <name>
 */
const [url, name] = process.argv.slice(2);
const log = openEventLog(url!, { clientId: 'writer-process', log: silentLogger(), metrics: createMetrics() });
const producer = log.producer();
let next = 0;

async function writeForEver(): Promise<never> {
  for (;;) {
    const text = `${name}-${next++}`;
    await producer.send('events', [{ key: `user-${next % 10}`, value: Buffer.from(text) }]);
    process.stdout.write(`${text}\n`);
  }
}

await Promise.all(Array.from({ length: 8 }, writeForEver));
