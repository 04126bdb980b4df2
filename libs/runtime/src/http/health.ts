import { describeError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { ReadinessCheck } from './route.ts';

const checkTimeoutMs = 2_000;
/** Probes of several kinds ask at once; the dependencies are asked once a second at most. */
const cacheMs = 1_000;

export interface Readiness {
  status: 'ready' | 'not_ready';
  dependencies: Record<string, { status: 'up' | 'down'; message?: string }>;
}

async function runCheck(check: () => Promise<unknown>): Promise<{ status: 'up' | 'down'; message?: string }> {
  let timer: NodeJS.Timeout | undefined;
  try {
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${checkTimeoutMs} ms`)), checkTimeoutMs);
    });
    await Promise.race([Promise.resolve().then(check), late]);
    return { status: 'up' };
  } catch (error) {
    return { status: 'down', message: describeError(error).slice(0, 300) };
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Runs all checks at once and names each dependency; the answer is kept for a second.
 * Services that share a process and name a dependency alike share its line: it is up when all of them find it so.
 * Why one is down is logged, once for each change of its state.
 * @param sideChecks are shown, and say nothing about being ready.
 */
export function createReadiness(
  checksOfServices: Record<string, ReadinessCheck>[],
  sideChecks: Record<string, ReadinessCheck>[],
  log: Logger,
): () => Promise<Readiness> {
  const checks = new Map<string, ReadinessCheck[]>();
  for (const [name, check] of [...checksOfServices, ...sideChecks].flatMap((c) => Object.entries(c))) {
    checks.set(name, [...(checks.get(name) ?? []), check]);
  }
  const needed = new Set(checksOfServices.flatMap((c) => Object.keys(c)));
  const down = new Set<string>();
  const tellChanges = (name: string, { status, message }: Readiness['dependencies'][string]): void => {
    if ((status === 'down') === down.has(name)) return;
    if (status === 'up') {
      down.delete(name);
      log.info({ dependency: name }, `${name} is up again`);
    } else {
      down.add(name);
      log.warn({ dependency: name, cause: message }, `${name} is down: ${message}`);
    }
  };
  let last: { at: number; answer: Promise<Readiness> } | undefined;
  const ask = async (): Promise<Readiness> => {
    const entries = await Promise.all(
      [...checks].map(async ([name, all]) => [name, await runCheck(() => Promise.all(all.map((c) => c())))] as const),
    );
    for (const [name, outcome] of entries) tellChanges(name, outcome);
    const ready = entries.every(([name, outcome]) => outcome.status === 'up' || !needed.has(name));
    return { status: ready ? 'ready' : 'not_ready', dependencies: Object.fromEntries(entries) };
  };
  return () => {
    const now = performance.now();
    if (!last || now - last.at > cacheMs) last = { at: now, answer: ask() };
    return last.answer;
  };
}

/** What strangers may see of it: which dependencies there are, not where they are or what they said. */
export const withoutCauses = ({ status, dependencies }: Readiness): Readiness => ({
  status,
  dependencies: Object.fromEntries(Object.entries(dependencies).map(([name, d]) => [name, { status: d.status }])),
});
