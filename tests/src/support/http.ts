import { call, metricOf } from '@worktide/testing';

/** As `GET /health/ready` answers. */
export interface Health {
  status: string;
  dependencies: Record<string, { status: 'up' | 'down'; message?: string }>;
}

/** The names of the dependencies that are down, in order; undefined where the service does not answer. */
export async function notReady(origin: string): Promise<string[] | undefined> {
  const answer = await call<Health>(origin, 'get', '/health/ready', { timeoutMs: 5_000 }).catch(() => undefined);
  if (!answer?.body) return undefined;
  const down = Object.entries(answer.body.dependencies).filter(([, { status }]) => status === 'down');
  return down.map(([name]) => name).sort();
}

/** What products that tests start ask for their metrics, where these have no port of their own. */
export const metricsToken = 'metrics-token-of-these-tests';

/** As `metricOf`, of what is at an origin. */
export async function metric(origin: string, name: string, labels: Record<string, string> = {}): Promise<number> {
  const { text } = await call(origin, 'get', '/metrics', { bearer: metricsToken });
  return metricOf(text, name, labels);
}
