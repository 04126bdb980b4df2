import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { drawScreenshot } from '@worktide/fleet';
import type { Context } from '../context.ts';

interface Result {
  rate: number;
  peakMiB: number;
}

/** Screenshots blurred a second beside sharp doing the same calls, and the memory that takes. */
export async function pictures(context: Context): Promise<void> {
  const { options, report, lifecycle, say } = context;
  const file = fileURLToPath(new URL('../floors/convert-pictures.ts', import.meta.url));
  const run = async (files: string[], given: Record<string, string | number>): Promise<Result> => {
    const args = Object.entries({ ...given, seconds: options.seconds }).flatMap(([name, value]) => [
      `--${name}`,
      `${value}`,
    ]);
    const { stdout } = await promisify(execFile)(process.execPath, [file, ...args, ...files], {
      signal: lifecycle.signal,
    });
    return JSON.parse(stdout) as Result;
  };
  const sizes = [
    { name: '1080p', width: 1920, height: 1080 },
    { name: '4K', width: 3840, height: 2160 },
  ];
  for (const { name, ...size } of sizes) {
    const files = [0, 1, 2, 3].map((i) => path.join(context.dir, `picture-${name}-${i}`));
    for (const [i, to] of files.entries())
      await writeFile(to, await drawScreenshot(i, { ...size, format: i % 2 === 0 ? 'png' : 'jpeg' }));
    for (const level of [0, 2]) {
      const ours: Result[] = [];
      const floor: Result[] = [];
      for (let round = 0; round < options.rounds; round++) {
        floor.push(await run(files, { ...size, level, how: 'bare' }));
        ours.push(await run(files, { ...size, level, how: 'ours' }));
        say(
          `  ${name}, level ${level}: ${ours.at(-1)!.rate.toFixed(1)}/s, bare sharp ${floor.at(-1)!.rate.toFixed(1)}/s`,
        );
      }
      const part = 'pictures';
      const what = `${name}, level ${level}, 5 side by side`;
      const rates = (results: Result[]): number[] => results.map(({ rate }) => rate);
      report.addPairs(
        { part, what: `${what}; floor: sharp alone`, unit: '1/s', goal: '≥ 0.9' },
        rates(ours),
        rates(floor),
      );
      const peak = (results: Result[]): number => Math.max(...results.map(({ peakMiB }) => peakMiB));
      report.add({
        part,
        what: `${what}: peak memory`,
        unit: 'MiB',
        ours: peak(ours),
        floor: peak(floor),
        goal: '≤ 512',
      });
    }
  }
}
