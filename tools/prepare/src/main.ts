import { createLogger } from '@worktide/runtime';
import { runPrepare } from './run.ts';

const log = createLogger({ service: 'prepare', destination: process.stderr });
process.exitCode = await runPrepare(process.argv.slice(2), process.env, log, {
  out: (line) => void process.stdout.write(`${line}\n`),
  err: (line) => void process.stderr.write(`${line}\n`),
});
