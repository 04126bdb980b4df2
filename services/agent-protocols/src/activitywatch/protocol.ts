import type { ServerResponse } from 'node:http';
import { invalid, isStorable } from '@worktide/runtime';
import { z } from 'zod';
import { readTimestamp } from './times.ts';

export const base = '/api/0';
export const bucketPath = `${base}/buckets/:bucketId`;
export const tag = 'activitywatch';

/** A name as watchers and people give them. */
export const name = z.string().min(1).max(256).refine(isStorable, 'holds U+0000 or half of a surrogate pair');
export const bucketParams = z.object({ bucketId: name.meta({ description: 'As `aw-watcher-window_laptop`.' }) });

/** Answers 200 with what is JSON already. */
export function sendText(res: ServerResponse, json: string): void {
  res.writeHead(200, { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(json) });
  res.end(json);
}

/** The bucket that a path names; empty where it names none. @throws AppError 400. */
export function nameIn(pathname: string): string {
  const [, encoded] = /\/buckets\/([^/]+)\//.exec(pathname) ?? [];
  if (encoded === undefined) return '';
  let bucketId: string | undefined;
  try {
    bucketId = decodeURIComponent(encoded);
  } catch {
    // No name at all.
  }
  const read = bucketParams.safeParse({ bucketId });
  if (!read.success) throw invalid('INVALID_BUCKET', 'The name of the bucket is not as it must be.');
  return read.data.bucketId;
}

/** Of a query parameter; undefined where there is none. @throws AppError 400. */
export function givenTime(name: string, text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined;
  // A plus sign that was not encoded arrives as a space.
  const at = readTimestamp(text.replace(/ (\d\d:?\d\d)$/, '+$1'));
  if (at === undefined) throw invalid('INVALID_TIME', `${name} is a time like 2026-05-04T12:00:00Z.`);
  return at;
}
