import { rename, stat } from 'node:fs/promises';
import path from 'node:path';
import {
  AppError,
  createLogger,
  describeError,
  keepRequestsYoung,
  type LogSink,
  loadConfig,
  openLogSink,
  runProcess,
} from '@worktide/runtime';
import { traceWith } from '@worktide/service';
import { configSchema } from './config.ts';
import { closeDataFolder, untilReleased } from './data-folder.ts';
import { startStandalone } from './start.ts';
import { welcome } from './welcome.ts';

// Files of ours, and of the engines that we start, are their owner's alone.
process.umask(0o077);
keepRequestsYoung();

const say = (text: string): void => void process.stdout.write(`${text}\n`);

// Where the terminal is a file on a full disk, or has gone, that is no reason to end.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

const maxLogBytes = 50_000_000;

/** The log of the run before is kept, or the 50 MB before these; older ones are not. */
async function openLogFile(folder: string): Promise<LogSink> {
  const file = path.join(folder, 'worktide.log');
  if (await stat(file).catch(() => undefined)) await rename(file, `${file}.1`);
  return openLogSink(file, { maxBytes: maxLogBytes });
}

try {
  const config = loadConfig(configSchema, process.env);
  // Before anything of the folder is touched, its log included, which may be another run's.
  await untilReleased(config.WORKTIDE_DATA);
  const open = await closeDataFolder(config.WORKTIDE_DATA);
  const file = await openLogFile(config.WORKTIDE_DATA);
  // JSON lines go to the file; the terminal is for a person and shows what went wrong, in a sentence.
  const destination = {
    write(line: string): void {
      file.write(line);
      const { level, msg, err } = JSON.parse(line) as { level: string; msg?: string; err?: { message?: string } };
      if (level === 'error' || level === 'fatal')
        say(`! ${msg ?? ''}${err?.message && !msg?.includes(err.message) ? ` (${err.message})` : ''}`);
      else if (msg === 'stopping') say('Stopping …');
      else if (msg === 'stopped') say('Stopped.');
    },
  };
  const log = createLogger({ service: 'standalone', level: config.LOG_LEVEL, destination });
  if (open.length > 0) log.warn({ open }, 'others may read parts of the data folder: their owner is somebody else');
  await runProcess(log, async (lifecycle) => {
    await traceWith(config, { service: 'standalone', lifecycle, log });
    const started = await startStandalone(config, { lifecycle, log, env: process.env, onStep: say });
    say(welcome(started.url, config.WORKTIDE_DATA));
  });
} catch (error) {
  say(`! ${describeError(error)}`);
  process.exit(error instanceof AppError && error.code === 'BAD_CONFIGURATION' ? 78 : 1);
}
