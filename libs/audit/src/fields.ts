/** Names of fields that hold what nobody may read later; whole words, so that `keyboard` or `tokenizer` are not meant. */
const secretName = /(password|passphrase|secret|token|hash|authorization|cookie|credential|api_?key|agent_?key)s?$/i;
const removed = '[removed]';
const maxText = 1_000;
const maxBytes = 16_000;

/**
 * The fields of an object as an audit event keeps them: secrets taken out by name, long text cut, and where the whole is
 * still above 16 kB, only the names of its fields.
 */
export function auditFields(object: object | null | undefined): Record<string, unknown> | null {
  if (!object) return null;
  const kept = clean(object, 0) as Record<string, unknown>;
  if (Buffer.byteLength(JSON.stringify(kept)) <= maxBytes) return kept;
  return { tooLarge: true, fields: Object.keys(object).slice(0, 100) };
}

function clean(value: unknown, depth: number): unknown {
  if (typeof value === 'string')
    return value.length <= maxText ? value.toWellFormed() : `${value.slice(0, maxText)}…`.toWellFormed();
  if (value instanceof Date) return value.toISOString();
  if (Buffer.isBuffer(value) || typeof value === 'function' || typeof value === 'symbol') return removed;
  if (typeof value === 'bigint') return String(value);
  if (value === null || typeof value !== 'object') return value;
  if (depth === 5) return removed;
  if (Array.isArray(value)) return value.slice(0, 100).map((item) => clean(item, depth + 1));
  const entries = Object.entries(value).filter(([, field]) => field !== undefined);
  return Object.fromEntries(
    entries.map(([name, field]) => [name, secretName.test(name) ? removed : clean(field, depth + 1)]),
  );
}

/** Of two states of one object, the fields that differ, as they were and as they are. */
export function auditChange<T extends object>(before: T, after: T): { before: Partial<T>; after: Partial<T> } {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]) as Set<keyof T & string>;
  const differing = [...names].filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]));
  const pick = (state: T): Partial<T> => Object.fromEntries(differing.map((name) => [name, state[name]])) as Partial<T>;
  return { before: pick(before), after: pick(after) };
}
