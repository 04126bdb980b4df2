import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type SmallDisk, smallDisk } from '@worktide/backends';
import { until } from '@worktide/testing';
import { createLogger, openLogSink, sleep } from './index.ts';

const linesOf = async (file: string): Promise<string[]> =>
  (await readFile(file, 'utf8')).split('\n').filter((line) => line !== '');

describe('a log file', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'worktide-log-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  test('is bounded: the file and the one before hold the newest lines, in order, none lost or twice', async () => {
    const file = path.join(folder, 'a.log');
    const sink = openLogSink(file, { maxBytes: 2_000 });
    const log = createLogger({ service: 'test', destination: sink });
    for (let n = 0; n < 200; n++) {
      log.info({ n }, 'line');
      if (n % 7 === 0) await sleep(1);
    }
    const numbers = async (): Promise<number[]> => {
      const lines = [...(await linesOf(`${file}.1`).catch(() => [])), ...(await linesOf(file))];
      return lines.map((line) => JSON.parse(line).n as number);
    };
    await until('the last line', async () => (await numbers()).at(-1) === 199);
    const kept = await numbers();
    expect(kept.length).toBeLessThan(100);
    expect(kept).toEqual(Array.from(kept, (_, i) => 200 - kept.length + i));
    expect(sink.lost).toBe(0);
  });

  test('has what was said right before the end of the process', async () => {
    const program = `
      const { createLogger, openLogSink } = await import(${JSON.stringify(fileURLToPath(new URL('index.ts', import.meta.url)))});
      const log = createLogger({ service: 'test', destination: openLogSink(${JSON.stringify(path.join(folder, 'b.log'))}) });
      for (let n = 0; n < 1000; n++) log.info({ n }, 'line');
      process.exit(3);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: 'inherit' });
    expect(await once(child, 'exit')).toEqual([3, null]);
    const numbers = (await linesOf(path.join(folder, 'b.log'))).map((line) => JSON.parse(line).n);
    // What was on its way at the end may be there twice.
    expect([...new Set(numbers)]).toEqual([...Array(1000).keys()]);
  });
});

describe('on a full disk', () => {
  let disk: SmallDisk;
  beforeEach(async () => {
    disk = await smallDisk(4);
  });
  afterEach(() => disk.remove());

  test('lines are dropped and counted, and it goes on when there is room', async () => {
    const file = path.join(disk.dir, 'a.log');
    const sink = openLogSink(file);
    const log = createLogger({ service: 'test', destination: sink });
    log.info('before');
    await until('the first line', async () => (await linesOf(file)).length === 1);
    await disk.fill();
    while (sink.lost === 0) {
      log.info({ text: 'x'.repeat(1_000) }, 'too much');
      await sleep(1);
    }
    await disk.free();
    await until('there is room again', async () => {
      log.info('after');
      await sleep(50);
      return (await readFile(file, 'utf8')).includes('"after"');
    });
    // One line may have been cut where the disk ended.
    const lines = await linesOf(file);
    const notice = lines.findIndex((line) => line.includes('lines of the log were lost'));
    expect(JSON.parse(lines[notice]!)).toMatchObject({ level: 'warn', lines: sink.lost });
    expect(lines.slice(notice + 1).every((line) => JSON.parse(line).msg !== undefined)).toBe(true);
  });

  test('a service whose output is a file there lives on, and ends when it is told to', async () => {
    const program = `
      const { createLogger } = await import(${JSON.stringify(fileURLToPath(new URL('index.ts', import.meta.url)))});
      const log = createLogger({ service: 'test' });
      const timer = setInterval(() => log.info({ text: 'x'.repeat(5000) }, 'line'), 1);
      setTimeout(() => { log.fatal('end'); process.exit(3); }, 3000);
      process.on('uncaughtException', () => process.exit(4));`;
    await disk.fill({ butBytes: 100_000 });
    const child = spawn(
      '/bin/sh',
      ['-c', `exec "$0" --input-type=module -e "$1" > ${disk.dir}/out`, process.execPath, program],
      {
        stdio: ['ignore', 'ignore', 'inherit'],
      },
    );
    expect(await once(child, 'exit')).toEqual([3, null]);
  });
});
