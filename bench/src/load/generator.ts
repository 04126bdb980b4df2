import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Lifecycle } from '@worktide/runtime';
import type { FromLoad, LoadJob, LoadResult } from './protocol.ts';

/** The load generator, a process of its own, so that its work is not counted as anybody else's. */
export interface LoadGenerator {
  readonly pid: number;
  /** @param on called when the measured time begins and ends. */
  run(job: LoadJob, on?: { measuring?: () => void; measured?: () => void }): Promise<LoadResult>;
}

export function startLoadGenerator(lifecycle: Lifecycle): LoadGenerator {
  const child = fork(fileURLToPath(new URL('./worker.ts', import.meta.url)), { execArgv: [] });
  lifecycle.onClose('load generator', () => {
    if (child.connected) child.disconnect();
  });
  const gone = new Promise<never>((_, reject) => {
    child.once('exit', (code, signal) => reject(new Error(`the load generator ended: ${signal ?? code}`)));
    child.once('error', reject);
  });
  gone.catch(() => {});

  return {
    get pid() {
      return child.pid!;
    },
    async run(job, on = {}) {
      const answer = new Promise<LoadResult>((resolve, reject) => {
        const listen = (message: FromLoad): void => {
          if (message.type === 'measuring') on.measuring?.();
          if (message.type === 'measured') on.measured?.();
          if (message.type === 'result') resolve(message.result);
          if (message.type === 'failed') reject(new Error(`the load generator: ${message.message}`));
          if (message.type === 'result' || message.type === 'failed') child.off('message', listen);
        };
        child.on('message', listen);
      });
      child.send(job);
      return Promise.race([answer, gone]);
    },
  };
}
