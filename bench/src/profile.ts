import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Options } from './options.ts';

/** The part of V8's .cpuprofile that is read here. */
interface CpuProfile {
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number } }[];
  samples: number[];
  timeDeltas: number[];
}

const shown = 25;

/** Node's flags that make a process write its CPU profile when it ends. */
export const profileArgs = ({ profile }: Options, name: string): string[] =>
  profile === undefined
    ? []
    : ['--cpu-prof', `--cpu-prof-dir=${path.resolve(profile)}`, `--cpu-prof-name=${name}.cpuprofile`];

/** Says where the time of a process that has ended went: its functions by the time spent in themselves. */
export async function announceProfile({ profile }: Options, name: string, say: (text: string) => void): Promise<void> {
  if (profile === undefined) return;
  const file = path.join(path.resolve(profile), `${name}.cpuprofile`);
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) return say(`  ${name} wrote no profile`);
  say(`  Profile of ${name} (${file}), share of the time it was busy:`);
  for (const { name: what, share } of selfTimes(JSON.parse(text) as CpuProfile).slice(0, shown)) {
    say(`    ${(share * 100).toFixed(1).padStart(5)} %  ${what}`);
  }
}

function selfTimes({ nodes, samples, timeDeltas }: CpuProfile): { name: string; share: number }[] {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const times = new Map<string, number>();
  let busy = 0;
  for (const [i, sample] of samples.entries()) {
    const name = names.get(sample)!;
    if (name === '(idle)' || name === '(root)') continue;
    const delta = Math.max(0, timeDeltas[i]!);
    times.set(name, (times.get(name) ?? 0) + delta);
    busy += delta;
  }
  return [...times].map(([name, time]) => ({ name, share: time / busy })).sort((a, b) => b.share - a.share);
}

function nameOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  const file = url
    .replace(/^file:\/\//, '')
    .replace(/^.*\/node_modules\//, '')
    .split('/')
    .slice(-3)
    .join('/');
  return file === '' ? functionName : `${functionName || '(anonymous)'} ${file}:${lineNumber + 1}`;
}
