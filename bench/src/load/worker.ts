import type { FromLoad, LoadJob } from './protocol.ts';
import { runLoad } from './run.ts';

/** The load generator's process: one job at a time from its parent, and it ends with its parent. */
const tell = (message: FromLoad): void => void process.send!(message);

process.on('message', (job) => {
  runLoad(job as LoadJob, (type) => tell({ type })).then(
    (result) => tell({ type: 'result', result }),
    (error: unknown) => tell({ type: 'failed', message: String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
// Ctrl-C in the terminal reaches us too; the parent decides.
process.on('SIGINT', () => {});
