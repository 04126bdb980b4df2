import { derivedUuid, isStorable } from '@worktide/runtime';
import { readUserAgent } from './user-agent.ts';

/** One heartbeat as it is kept. */
export interface Heartbeat {
  id: string;
  /** Epoch ms. */
  at: number;
  entity: string;
  type: string;
  category: string | null;
  project: string | null;
  branch: string | null;
  language: string | null;
  editor: string;
  os: string | null;
  machine: string | null;
  userAgent: string | null;
  lines: number | null;
  lineno: number | null;
  cursorpos: number | null;
  isWrite: boolean | null;
  dependencies: string[] | null;
  more: Record<string, unknown> | null;
}

/** What is wrong with one, field by field, in the words of the protocol. */
export type FieldErrors = Record<string, string[]>;

/** What a plugin says once for all heartbeats of a request. */
export interface Sender {
  userId: string;
  userAgent: string | null;
  machine: string | null;
}

/** Stand for what the last heartbeat before said: browsers know no projects. */
export const lastProject = '<<LAST_PROJECT>>';
export const lastBranch = '<<LAST_BRANCH>>';
export const lastLanguage = '<<LAST_LANGUAGE>>';

const known = new Set([
  ...['entity', 'type', 'time', 'category', 'project', 'branch', 'language', 'editor', 'operating_system', 'machine'],
  ...['user_agent', 'lines', 'lineno', 'cursorpos', 'is_write', 'dependencies', 'id', 'user_id', 'created_at'],
]);
const maxEntity = 2_048;
const maxText = 256;
const maxDependencies = 100;
const maxMoreBytes = 4_096;
const maxNumber = 2 ** 31 - 1;
const required = 'This field is required.';

/** Text that any store takes, cut to what is kept of it. */
function text(value: unknown, max = maxText): string | null {
  if (typeof value !== 'string') return null;
  const whole = isStorable(value) ? value : value.toWellFormed().replaceAll('\u0000', '\ufffd');
  const trimmed = whole.trim();
  return trimmed === '' ? null : [...trimmed.slice(0, 2 * max)].slice(0, max).join('');
}

/** Plugins send numbers as text now and then; what is none is as if it were not there. */
function count(value: unknown): number | null {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  return typeof number === 'number' && Number.isInteger(number) && number >= 0 && number <= maxNumber ? number : null;
}

function moreOf(given: Record<string, unknown>): Record<string, unknown> | null {
  const entries = Object.entries(given).filter(([name, value]) => !known.has(name) && value !== null);
  if (entries.length === 0) return null;
  const more = Object.fromEntries(entries);
  let json: string;
  try {
    json = JSON.stringify(more);
  } catch {
    // Nested more deeply than anybody can read it.
    return null;
  }
  return Buffer.byteLength(json) <= maxMoreBytes && isStorable(json) && !json.includes('\\u0000') ? more : null;
}

/**
 * Reads one heartbeat as a plugin sends it. Never throws. What is optional and cannot be kept is let go of; only without what it
 * was spent on, or when, there is no heartbeat.
 */
export function readHeartbeat(value: unknown, sender: Sender): Heartbeat | FieldErrors {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return { heartbeat: ['Must be an object.'] };
  const given = value as Record<string, unknown>;
  const entity = text(given.entity, maxEntity);
  const seconds = typeof given.time === 'string' && given.time.trim() !== '' ? Number(given.time) : given.time;
  const errors: FieldErrors = {};
  if (entity === null) errors.entity = [required];
  if (seconds === undefined || seconds === null) errors.time = [required];
  else if (typeof seconds !== 'number' || !Number.isFinite(seconds) || seconds < 0) errors.time = ['Must be a number.'];
  if (entity === null || typeof seconds !== 'number' || errors.time) return errors;
  const at = Math.round(seconds * 1000);
  if (!Number.isSafeInteger(at) || at > Date.UTC(9999, 0)) return { time: ['Must be a number.'] };
  const userAgent = text(given.user_agent, 512) ?? sender.userAgent;
  const plugin = readUserAgent(userAgent);
  const type = text(given.type, 64) ?? 'file';
  const machine = text(given.machine) ?? sender.machine;
  const project = text(given.project);
  return {
    id: derivedUuid('heartbeat', sender.userId, at, type, entity, project ?? '', machine ?? '', String(given.is_write)),
    at,
    entity,
    type,
    category: text(given.category, 64),
    project,
    branch: text(given.branch),
    language: text(given.language),
    editor: text(given.editor, 64) ?? plugin.editor,
    os: text(given.operating_system, 64) ?? plugin.os,
    machine,
    userAgent,
    lines: count(given.lines),
    lineno: count(given.lineno),
    cursorpos: count(given.cursorpos),
    isWrite: typeof given.is_write === 'boolean' ? given.is_write : null,
    dependencies: Array.isArray(given.dependencies)
      ? given.dependencies.slice(0, maxDependencies).flatMap((one) => text(one, 128) ?? [])
      : null,
    more: moreOf(given),
  };
}

export const isHeartbeat = (read: Heartbeat | FieldErrors): read is Heartbeat => 'at' in read && 'editor' in read;

/** As the protocol shows one. */
export const shownHeartbeat = (one: Heartbeat, userId: string) => ({
  ...(one.more ?? {}),
  id: one.id,
  user_id: userId,
  entity: one.entity,
  type: one.type,
  time: one.at / 1000,
  category: one.category,
  project: one.project,
  branch: one.branch,
  language: one.language,
  dependencies: one.dependencies,
  lines: one.lines,
  lineno: one.lineno,
  cursorpos: one.cursorpos,
  is_write: one.isWrite,
  editor: one.editor,
  operating_system: one.os,
  machine: one.machine,
  user_agent: one.userAgent,
  created_at: new Date(one.at).toISOString(),
});

/** All heartbeats of a body, however deep plugins have nested their lists. @returns undefined where there are too many, or too deep. */
export function flattened(body: unknown, most: number, depth = 4): unknown[] | undefined {
  if (!Array.isArray(body)) return [body];
  if (depth === 0) return undefined;
  const all: unknown[] = [];
  for (const item of body) {
    const more = flattened(item, most, depth - 1);
    if (!more || all.length + more.length > most) return undefined;
    all.push(...more);
  }
  return all;
}
