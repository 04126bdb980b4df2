import { AppError } from '@worktide/runtime';
import type { z } from 'zod';
import type { Codec } from './codec.ts';

/** Why something in a record can never be used: for its dead letter. */
export interface Unusable {
  code: string;
  message: string;
}

/** What is wrong first, and where. */
export function firstIssue(error: { issues: readonly { path: PropertyKey[]; message: string }[] }): string {
  const { path, message } = error.issues[0]!;
  return `${path.join('.') || 'value'}: ${message}`;
}

/**
 * A record as its consumer's schema has it, or why it can never be read.
 * @param schema of the whole record, or of what surrounds its items where each of them is judged by itself.
 * @throws 503 where the schema registry must be asked and cannot: let it pass up, and the batch is tried again.
 */
export function readRecord<S extends z.ZodType>(
  codec: Pick<Codec, 'decode'>,
  bytes: Buffer,
  schema: S,
): { data: z.output<S> } | { unusable: Unusable } {
  let value: unknown;
  try {
    value = codec.decode(bytes);
  } catch (error) {
    if (!(error instanceof AppError) || error.statusCode === 503) throw error;
    return { unusable: { code: error.code, message: error.message } };
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return { data: parsed.data };
  return { unusable: { code: 'BAD_RECORD', message: firstIssue(parsed.error) } };
}
