import { chmod, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { type Engine, startClickHouse, startKafka, startPostgres } from '@worktide/backends';
import type { Lifecycle, Logger } from '@worktide/runtime';
import type { FullTopic } from './full-topic.ts';
import type { Options } from './options.ts';
import type { Report } from './report.ts';

/** What every part gets. */
export interface Context {
  options: Options;
  report: Report;
  lifecycle: Lifecycle;
  log: Logger;
  dir: string;
  engines: { kafka: Engine; postgres: Engine; clickhouse: Engine };
  /** What one part makes and others use too. */
  shared: { fullTopic?: Promise<FullTopic> };
  /** A line for whoever waits. */
  say: (text: string) => void;
}

/** The real engines, one of each for all parts; each part has topics and databases of its own on them. */
export async function startEngines(dir: string, lifecycle: Lifecycle): Promise<Context['engines']> {
  await mkdir(dir, { recursive: true });
  // PostgreSQL runs as another user where we are root.
  await chmod(dir, 0o711);
  const keep = async (name: string, starting: Promise<Engine>): Promise<Engine> => {
    const engine = await starting;
    lifecycle.onClose(name, () => engine.stop());
    return engine;
  };
  const [kafka, postgres, clickhouse] = await Promise.all([
    keep('kafka', startKafka({ dir: path.join(dir, 'kafka'), optimised: true, heap: '1g' })),
    keep('postgres', startPostgres({ dir: path.join(dir, 'postgres') })),
    keep('clickhouse', startClickHouse({ dir: path.join(dir, 'clickhouse') })),
  ]);
  return { kafka, postgres, clickhouse };
}

/** Asks until it is so. @throws when it is not within the deadline, or when the benchmark is being stopped. */
export async function until(
  { lifecycle }: Pick<Context, 'lifecycle'>,
  what: string,
  isSo: () => Promise<boolean>,
  { everyMs = 100, deadlineMs = 120_000 } = {},
): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!(await isSo())) {
    if (lifecycle.signal.aborted) throw new Error(`stopped while waiting for ${what}`);
    if (performance.now() > deadline) throw new Error(`waited ${deadlineMs / 1_000} s in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
