import { z } from 'zod';
import { id, instant } from './common.ts';

export const analystQuery = z.object({
  sql: z.string().min(1).max(2_000_000).meta({ description: 'One SELECT over the views' }),
  parameters: z
    .record(
      z.string().regex(/^[A-Za-z_]\w{0,63}$/),
      z.union([z.string(), z.number(), z.boolean(), z.array(z.union([z.string(), z.number()])).max(10_000)]),
    )
    .optional()
    .meta({ description: 'Values of `{name:Type}`' }),
  format: z.enum(['json', 'csv', 'parquet']).default('json'),
});
export type AnalystQuery = z.output<typeof analystQuery>;

export const analystAnswer = z.object({
  columns: z.array(z.object({ name: z.string(), type: z.string() })),
  rows: z.array(z.array(z.unknown())).meta({ description: 'Values in the order of the columns' }),
  rowCount: z.number().int(),
  truncated: z.boolean().meta({ description: 'Whether there are more rows than an answer has' }),
  elapsedMs: z.number().int(),
});
export type AnalystAnswer = z.output<typeof analystAnswer>;

export const analystSchema = z.object({
  database: z.string(),
  views: z.array(
    z.object({
      name: z.string(),
      meaning: z.string(),
      columns: z.array(z.object({ name: z.string(), type: z.string(), meaning: z.string() })),
    }),
  ),
  examples: z.array(z.object({ title: z.string(), sql: z.string() })),
});
export type AnalystSchema = z.output<typeof analystSchema>;

export const analystAccountRequest = z.object({ name: z.string().trim().min(1).max(100).optional() });

export const analystAccount = z.object({
  id,
  name: z.string(),
  user: z.string(),
  url: z.string(),
  database: z.string(),
  createdAt: instant,
  createdBy: id,
});
export const analystAccounts = z.object({ items: z.array(analystAccount) });
export const analystAccountMade = analystAccount.extend({
  password: z.string().meta({ description: 'Shown only here' }),
});
