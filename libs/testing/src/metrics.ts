import type { Metrics } from '@worktide/runtime';

/**
 * The sum of a metric over all its labels, or over those given; 0 where these have not been counted yet.
 * @param metrics or their text, as `/metrics` answers it.
 * @throws Error where there is no metric of the name: a test that reads it wrong must not find 0.
 */
export async function metricOf(
  metrics: Pick<Metrics, 'render'> | string,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<number> {
  const text = typeof metrics === 'string' ? metrics : (await metrics.render()).text;
  const lines = text.split('\n');
  // The parts of a histogram (`…_count`) have no line of their own that says so.
  const declared = name.replace(/_(bucket|count|sum)$/, '');
  if (![name, declared].some((one) => lines.some((line) => line.startsWith(`# TYPE ${one} `)))) {
    throw new Error(`there is no metric ${name}`);
  }
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  return lines
    .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
    .filter((line) => wanted.every((label) => line.includes(`{${label}`) || line.includes(`,${label}`)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
