import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir, totalmem } from 'node:os';
import path from 'node:path';
import { createLogger, runProcess } from '@worktide/runtime';
import { type Context, startEngines } from './context.ts';
import { type Options, type PartName, readOptions, usage } from './options.ts';
import { analytics } from './parts/analytics.ts';
import { dashboard } from './parts/dashboard.ts';
import { endToEnd } from './parts/end-to-end.ts';
import { exports } from './parts/exports.ts';
import { fresh } from './parts/fresh.ts';
import { gateway } from './parts/gateway.ts';
import { growth } from './parts/growth.ts';
import { latency } from './parts/latency.ts';
import { people } from './parts/people.ts';
import { pictures } from './parts/pictures.ts';
import { protocols } from './parts/protocols.ts';
import { realtime } from './parts/realtime.ts';
import { reports } from './parts/reports.ts';
import { shares } from './parts/shares.ts';
import { sync } from './parts/sync.ts';
import { tasks } from './parts/tasks.ts';
import { timers } from './parts/timers.ts';
import { uploads } from './parts/uploads.ts';
import { writer } from './parts/writer.ts';
import { createReport, table } from './report.ts';

const parts: Record<PartName, (context: Context) => Promise<void>> = {
  gateway,
  analytics,
  writer,
  growth,
  'end-to-end': endToEnd,
  latency,
  fresh,
  reports,
  exports,
  people,
  tasks,
  pictures,
  uploads,
  timers,
  sync,
  shares,
  realtime,
  protocols,
  dashboard,
};

const given = process.argv.slice(2);
if (given.includes('--help')) {
  process.stdout.write(`${usage}\n`);
  process.exit(0);
}

let options: Options;
try {
  options = readOptions(given);
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n${usage}\n`);
  process.exit(2);
}

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const log = createLogger({ service: 'bench', level: 'error' });
const machine = `${cpus().length} × ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`;

await runProcess(
  log,
  async (lifecycle) => {
    const dir = await mkdtemp(path.join(tmpdir(), 'worktide-bench-'));
    lifecycle.onClose('data', () => rm(dir, { recursive: true, force: true }));
    say(`On ${machine}\nStarting Kafka, PostgreSQL and ClickHouse …`);
    const engines = await startEngines(dir, lifecycle);
    const report = createReport();
    const context: Context = { options, report, lifecycle, log, dir, engines, shared: {}, say };
    for (const name of options.parts) {
      const startedAt = performance.now();
      say(`\n${name}`);
      await parts[name](context);
      say(`  (${Math.round((performance.now() - startedAt) / 1_000)} s)`);
    }
    say(`\n${table(report.figures)}\n`);
    if (options.json) {
      const result = { at: new Date().toISOString(), machine, options, figures: report.figures };
      await writeFile(options.json, `${JSON.stringify(result, null, 2)}\n`);
    }
    void lifecycle.close();
  },
  { deadlineMs: 60_000 },
);
