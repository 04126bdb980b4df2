import { hash } from 'node:crypto';
import type { PrivacyKind } from '@worktide/privacy';
import type { PingEvent, SyncEntryEvent } from '@worktide/schemas';
import type { Heartbeat } from '../wakatime/heartbeat.ts';

export interface Problem {
  code: string;
  message: string;
}

/** Time that a device saw. */
export interface SeenItem {
  type: 'seen';
  /** What the device is called in the file. */
  device: string;
  /** In which the content of an import is told apart: device and source. */
  stream: string;
  content: bigint;
  /** Epoch ms: when what is told apart by its content is. */
  at: number;
  /** Epoch ms: the time that it is. */
  from: number;
  to: number;
  /** What may be kept of it; nothing, where privacy takes it away. */
  pings: PingEvent[];
  taken: PrivacyKind[];
  heartbeat?: Heartbeat;
}

/** Time that a person wrote down. */
export interface EntryItem {
  type: 'entry';
  /** Of `Plan.people`. */
  person: string;
  stream: 'entries';
  content: bigint;
  at: number;
  from: number;
  to: number;
  project: string;
  /** Without its key, its index and its project, which the import gives it. */
  entry: Omit<SyncEntryEvent, 'index' | 'idempotencyKey' | 'projectId'>;
}

export type Item = SeenItem | EntryItem;

/** What became of one row of a file, counted from 1. */
export interface Judged {
  row: number;
  item?: Item;
  problem?: Problem;
  /** Who the row is of, as the file says. */
  person?: { key: string; name: string; email: string };
}

const unreadable: Problem = { code: 'UNREADABLE_ROW', message: 'It cannot be read.' };

/** Judges one row. What goes wrong with it, a fault of ours among that, is said of it and keeps none of the others. */
export function judged<T extends Omit<Judged, 'row'>>(row: number, judge: () => T): Judged {
  try {
    return { row, ...judge() };
  } catch {
    return { row, problem: unreadable };
  }
}

/** What was found out of a file when it was looked at, for when it is imported. */
export interface Plan {
  /** Users by what the file calls them; who is not among them has no rows here. */
  people: Record<string, string>;
  /** Projects by name. */
  projects: Record<string, string>;
  /** Names of devices. */
  devices: string[];
  /** Of ActivityWatch, what its buckets are. */
  buckets: Record<string, BucketHead>;
  dateOrder: 'ymd' | 'dmy' | 'mdy' | null;
  rows: number;
}

export interface BucketHead {
  type: string;
  client: string;
  hostname: string;
}

/** By any name that a file may have: also by those that every object has. */
const byName = <T>(): Record<string, T> => Object.create(null);

export const noPlan = (): Plan => ({
  people: byName(),
  projects: byName(),
  devices: [],
  buckets: {},
  dateOrder: null,
  rows: 0,
});

/** Bounds of what is held of one file: what is beyond is refused, row by row. */
export const planBounds = { people: 1_000, projects: 2_000, devices: 50, buckets: 1_000 } as const;

/**
 * What a row says, in 64 bits: of one person, stream and day there are some ten thousand at most, so that two that differ are never
 * taken for one (once in 10¹¹ such days).
 */
export const contentOf = (...parts: (string | number | boolean | null)[]): bigint =>
  hash('sha256', JSON.stringify(parts), 'buffer').readBigUInt64BE(0);

/** What one of the names of a plan stands for, whether it was read from JSON or not. */
export const ofPlan = (names: Readonly<Record<string, string>>, name: string): string | null =>
  Object.hasOwn(names, name) ? names[name]! : null;

/** Names that go into stores and ids: well-formed, without what no store takes, and not longer than this. */
export const kept = (text: string, max: number): string =>
  [...text.trim().slice(0, 2 * max)].slice(0, max).join('').toWellFormed().replaceAll('\u0000', '\ufffd');

/** A device of an import is no other's: what is taken out with it is of nobody else. */
export const deviceIdOf = (importId: string, device: string): string => `import:${importId}:${kept(device, 80)}`;

const maxDevice = 80;
export const deviceName = (text: unknown, otherwise: string): string =>
  (typeof text === 'string' && kept(text, maxDevice)) || otherwise;
