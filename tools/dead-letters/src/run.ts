import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type EventLog, openEventLog } from '@worktide/event-log';
import { createLogger, createMetrics, describeError } from '@worktide/runtime';
import { type Command, parseCommand, usage } from './arguments.ts';
import { listDeadLetters } from './list.ts';
import { replayAll, replayOf, replayOne } from './replay.ts';

export interface Output {
  out(line: string): void;
  err(line: string): void;
}

/** @returns the exit status: 0 done, 1 it could not be done, 2 the arguments are wrong. */
export async function runDeadLetters(
  argv: string[],
  env: Record<string, string | undefined>,
  output: Output,
): Promise<number> {
  let command: Command;
  try {
    command = parseCommand(argv);
  } catch (error) {
    output.err(`${describeError(error)}\n\n${usage}`);
    return 2;
  }
  let log: EventLog | undefined;
  try {
    log = openLog(env);
    return await execute(command, log, output);
  } catch (error) {
    output.err(describeError(error));
    return 1;
  } finally {
    await log?.close();
  }
}

function openLog(env: Record<string, string | undefined>): EventLog {
  const embedded = join(env.WORKTIDE_DATA || './data', 'log');
  // Opening would make an empty one, and an empty list would say that all is well.
  if (!env.EVENT_LOG_URL && !existsSync(embedded)) {
    throw new Error(`there is no log in ${embedded}; set EVENT_LOG_URL or WORKTIDE_DATA`);
  }
  return openEventLog(env.EVENT_LOG_URL || `lmdb:${embedded}`, {
    clientId: 'dead-letters',
    log: createLogger({ service: 'dead-letters', level: 'error', destination: process.stderr }),
    metrics: createMetrics(),
  });
}

async function execute(command: Command, log: EventLog, { out, err }: Output): Promise<number> {
  if (command.name === 'list') {
    await listDeadLetters(log, command, out);
    return 0;
  }
  const { topic } = command;
  if ('offset' in command) {
    await replayOne(log, topic, command.offset);
    out(`1 put back onto ${topic}`);
    return 0;
  }
  const { count, refused } = await ('all' in command ? replayAll(log, topic) : replayOf(log, topic, command.whose));
  out(count === 0 ? 'nothing left to replay' : `${count} put back onto ${topic}`);
  for (const { offset, why } of refused) err(`offset ${offset} stays: ${why}`);
  return refused.length === 0 ? 0 : 1;
}
