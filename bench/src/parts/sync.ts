import { request } from 'node:http';
import { type Area, openArea, type Service } from '../area.ts';
import type { Context } from '../context.ts';
import { peakMemoryMiB, startMeter } from '../meter.ts';

/** As many as a batch may have. */
const entriesPerBatch = 5_000;
const largeBytes = 50_000_000;

/**
 * Entries a second of one batch recorded offline, from the request until they are committed and the outcome is answered,
 * beside one INSERT of the same rows into a table with the same constraints; and what 50 MB take of the gateway's memory.
 */
export async function sync(context: Context): Promise<void> {
  const { report, options, say } = context;
  const area = await openArea(context, 'sync');
  const writer = await area.start('session-writer');
  const gateway = await area.start('ingest-gateway');
  const entries = Math.max(1, Math.min(entriesPerBatch, Math.round(entriesPerBatch * options.scale)));
  const tokens = await area.tokens(options.rounds + 2);
  await area.postgres.query('CREATE TABLE floor (LIKE tracking.time_entries INCLUDING ALL EXCLUDING GENERATED)');

  const body = batchOf(entries);
  await post(gateway, tokens[options.rounds]!, body);
  const rates: Record<'ours' | 'floor', number[]> = { ours: [], floor: [] };
  const cpu: Record<'gateway' | 'writer', number[]> = { gateway: [], writer: [] };
  for (let round = 0; round < options.rounds; round++) {
    const spent = await startMeter({ gateway: gateway.pid, writer: writer.pid });
    const startedAt = performance.now();
    await post(gateway, tokens[round]!, body);
    rates.ours.push(entries / ((performance.now() - startedAt) / 1_000));
    const micros = await spent();
    for (const who of ['gateway', 'writer'] as const) cpu[who].push(micros[who]! / entries);
    rates.floor.push(entries / ((await insertAll(area)) / 1_000));
    say(`  ours ${Math.round(rates.ours.at(-1)!)}, floor ${Math.round(rates.floor.at(-1)!)} entries/s`);
  }
  const part = `sync, a batch of ${entries.toLocaleString('en')}`;
  report.addPairs({ part, what: 'request to committed', unit: 'entries/s' }, rates.ours, rates.floor);
  for (const who of ['gateway', 'writer'] as const) {
    const ours = cpu[who].reduce((a, b) => a + b, 0) / cpu[who].length;
    report.add({ part, what: `CPU of the ${who}`, unit: 'µs/entry', ours });
  }

  const before = await peakMemoryMiB(gateway.pid);
  await post(gateway, tokens[options.rounds + 1]!, batchOf(entriesPerBatch, largeBytes));
  const more = (await peakMemoryMiB(gateway.pid)) - before;
  report.add({ part: 'sync, 50 MB', what: "more of the gateway's memory", unit: 'MiB', ours: more, goal: '≤ 200 MiB' });
  await area.close();
}

/** Entries of five minutes, one after the other; of so many bytes together, where that is said. */
function batchOf(count: number, bytes = 0): Buffer {
  const step = 300_000;
  const from = Math.floor(Date.now() / step) * step - count * step;
  const padding = 'x'.repeat(Math.max(0, Math.floor(bytes / count) - 300));
  const entries = Array.from({ length: count }, (_, i) => ({
    idempotencyKey: `bench-${i}`,
    startTime: new Date(from + i * step).toISOString(),
    endTime: new Date(from + (i + 1) * step).toISOString(),
    status: 'STOPPED',
    description: `Entry ${i} ${padding.slice(0, 1_900)}`,
    ...(padding === '' ? {} : { padding: padding.slice(1_900) }),
  }));
  return Buffer.from(JSON.stringify({ entries }));
}

/** @throws Error unless all of it was committed. */
const post = ({ port }: Service, token: string, body: Buffer): Promise<void> =>
  new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      'content-length': body.length,
      prefer: 'wait=30',
    };
    const call = request(
      { host: '127.0.0.1', port, method: 'POST', path: '/api/v1/sync/batch', headers },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.once('end', () => {
          const { conflicts, code } = JSON.parse(Buffer.concat(chunks).toString());
          if (response.statusCode === 200 && conflicts.length === 0) resolve();
          else reject(new Error(`a batch was answered ${response.statusCode} ${code ?? ''}`));
        });
      },
    );
    call.once('error', reject);
    call.end(body);
  });

/** Milliseconds that the rows of the last user take by themselves, in one statement. */
async function insertAll({ postgres }: Area): Promise<number> {
  await postgres.query('TRUNCATE floor');
  const { rows } = await postgres.query('SELECT user_id FROM tracking.time_entries ORDER BY created_at DESC LIMIT 1');
  await postgres.query('CREATE TABLE given AS SELECT * FROM tracking.time_entries WHERE user_id = $1', [
    rows[0].user_id,
  ]);
  const startedAt = performance.now();
  await postgres.query('INSERT INTO floor SELECT * FROM given');
  const ms = performance.now() - startedAt;
  await postgres.query('DROP TABLE given');
  return ms;
}
