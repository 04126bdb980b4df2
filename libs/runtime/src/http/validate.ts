import type { z } from 'zod';
import { AppError, type ErrorDetail, invalid } from '../errors.ts';
import { isStorable } from '../text.ts';

/** A refused body can have as many problems as it has fields; a person reads the first few. */
const maxDetails = 20;
/** What is nested more deeply is nobody's, and whatever walks through it may run out of stack. */
const maxDepth = 200;

/**
 * Parses one part of a request.
 * @throws AppError `VALIDATION_FAILED` (400) with a detail for each problem.
 */
export function validatePart<S extends z.ZodType>(schema: S, value: unknown, part: string): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) {
    const at = unstorable(result.data);
    if (at) {
      const path = [part, ...at].join('.');
      throw refusal(part, [{ path, code: 'INVALID_TEXT', message: 'holds what no store takes' }]);
    }
    return result.data;
  }
  const details: ErrorDetail[] = result.error.issues.slice(0, maxDetails).map((issue) => ({
    path: [part, ...issue.path.map(String)].join('.'),
    code: issue.code.toUpperCase(),
    message: issue.message,
  }));
  throw refusal(part, details);
}

const refusal = (part: string, details: ErrorDetail[]): AppError =>
  invalid('VALIDATION_FAILED', `The request's ${part} is not as it must be.`, details);

/**
 * Where a text is that no store takes. Asked of every part of every request, so that no schema needs to think of it.
 */
function unstorable(value: unknown, depth = 0): string[] | undefined {
  if (depth > maxDepth) return [];
  if (typeof value === 'string') return isStorable(value) ? undefined : [];
  if (typeof value !== 'object' || value === null) return undefined;
  for (const [name, member] of Object.entries(value)) {
    const within = unstorable(member, depth + 1);
    if (within) return [name, ...within];
    if (!isStorable(name)) return [];
  }
  return undefined;
}

/** 415 unless the content type is JSON; a request without a body has none and passes. */
export function requireJson(contentType: string | undefined, hasBody: boolean): void {
  if (!hasBody || (contentType !== undefined && /^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i.test(contentType)))
    return;
  throw new AppError('UNSUPPORTED_MEDIA_TYPE', 'The body must be application/json.', { statusCode: 415 });
}
