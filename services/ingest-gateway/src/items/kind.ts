import type { CompiledPrivacy, PrivacyKind } from '@worktide/privacy';
import { AppError, type Caller, type Counter, type ErrorDetail, type RawRoute } from '@worktide/runtime';
import type { Codec, Rejection } from '@worktide/schemas';

/** What is wrong with one item, or was changed about it. */
export interface Problem {
  code: string;
  message: string;
}

export interface ItemContext {
  nowMs: number;
  /** Used where the item names no device. */
  deviceId: string;
}

/** By what it is decided which of the good items are kept. */
export interface Terms {
  privacy: CompiledPrivacy;
  caller: Pick<Caller, 'timezone' | 'pause'>;
  nowMs: number;
}

/** What is kept of a good item: nothing, itself, or pieces of it; and why it is not all of it. */
export interface KeptItem<T> {
  kept: T[];
  taken: readonly PrivacyKind[];
}

/** What bounds the number of a user's devices: a watcher on one of them. */
export interface Stream {
  deviceId: string;
  source: string;
}

export interface ItemLimits {
  maxItems: number;
  /** Bytes of one item. */
  maxItemBytes: number;
  /** Of an item that is larger than that. */
  itemTooLarge: Problem;
  /** @returns 413. */
  tooMany(): AppError;
  /** @returns 400. */
  empty(): AppError;
}

/** What of it a consumer learns besides the items. */
export interface Envelope {
  organizationId: string;
  userId: string;
  receivedAt: number;
}

/** What the items of a request are: pings, or the counts of minutes. */
export interface ItemKind<T extends object> {
  spec: RawRoute['spec'];
  topic: string;
  codec: Codec;
  maxBodyBytes: number;
  limits: ItemLimits;
  /** What judges the items of one request; it never throws. What was changed about a good item goes to `warnings`. */
  checker(context: ItemContext): (value: unknown, warnings: Problem[]) => T | Problem;
  /** What privacy leaves of a good item; `given` is what it was made from. */
  keep(item: T, given: unknown, terms: Terms): KeptItem<T>;
  streamOf(item: T): Stream;
  /** The record of topic `topic`. */
  recordOf(envelope: Envelope, items: T[]): unknown;
  /** @returns 400 for a request of which nothing is good. */
  allBad(bad: Rejection[]): AppError;
  metrics: { accepted: Counter; rejected: Counter; warned?: Counter };
}

export const isProblem = (checked: object): checked is Problem => 'code' in checked;

/** 400 with a detail for each item; the code is the items' own where they agree. */
export function allBad(code: string, message: string, bad: Rejection[]): AppError {
  const codes = new Set(bad.map((b) => b.code));
  const [only] = codes;
  const details: ErrorDetail[] = bad.map(({ index, code: c, message: m }) => ({ index, code: c, message: m }));
  return new AppError(codes.size === 1 && only ? only : code, bad.length === 1 ? bad[0]!.message : message, {
    statusCode: 400,
    details,
  });
}
