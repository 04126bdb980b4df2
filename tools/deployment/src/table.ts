import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';

const lag = z.strictObject({ group: z.string(), topic: z.string(), records: z.number().int().min(1) });
const service = z.strictObject({
  scale: z.enum(['http', 'lag']),
  postgres: z.literal(true).optional(),
  plain: z.literal(true).optional(),
  secret: z.array(z.string()).default([]),
  optional: z.array(z.string()).default([]),
  reaches: z.array(z.enum(['clickhouse', 's3', 'smtp', 'webhooks'])).default([]),
  lag: z.array(lag).default([]),
});
const table = z.strictObject({
  services: z.record(z.string(), service),
  routes: z.array(
    z.strictObject({
      prefix: z.string().startsWith('/'),
      service: z.string(),
      /** Where a body may be larger, or longer on its way, than elsewhere. */
      maxBody: z
        .string()
        .regex(/^\d+m$/)
        .optional(),
      bodySeconds: z.number().int().optional(),
    }),
  ),
});

export type DeploymentTable = z.output<typeof table>;

/** Folder `deploy/` of the repository. */
export const deployFolder = new URL('../../../deploy/', import.meta.url);

/** What is deployed and where paths lead: `deploy/helm/worktide/files/services.yaml`. @throws ZodError where it is not as it must be. */
export const readTable = (): DeploymentTable =>
  table.parse(parse(readFileSync(new URL('helm/worktide/files/services.yaml', deployFolder), 'utf8')));

/** Whether the path is the prefix, or lies below it; below `/` all of them do. */
export const isBelow = (path: string, prefix: string): boolean =>
  prefix === '/' || path === prefix || path.startsWith(`${prefix}/`);

/** The service that answers a path; undefined where none does. */
export const serviceOf = (path: string, routes: DeploymentTable['routes']): string | undefined =>
  routes.find(({ prefix }) => isBelow(path, prefix))?.service;
