import { conflict, storageFull } from '@worktide/runtime';

interface S3Error {
  name?: string;
  message?: string;
  $metadata?: { httpStatusCode?: number; requestId?: string; attempts?: number };
}

export const statusOf = (error: unknown): number | undefined => (error as S3Error)?.$metadata?.httpStatusCode;

/** Whether it says that there is no such object (and not: no such bucket). */
export const isAbsent = (error: unknown): boolean => {
  const { name } = error as S3Error;
  return name === 'NoSuchKey' || name === 'NotFound' || (statusOf(error) === 404 && name !== 'NoSuchBucket');
};

/** Two wrote under one name at once, and the store has not decided: to be tried again. */
export const isUndecided = (error: unknown): boolean =>
  (error as S3Error).name === 'ConditionalRequestConflict' || statusOf(error) === 409;

/** What servers call it when a disk or a bucket's share is used up: MinIO, Ceph, and whoever answers 507 (RFC 4918). */
const fullNames = new Set([
  'XMinioStorageFull',
  'XMinioAdminBucketQuotaExceeded',
  'QuotaExceeded',
  'InsufficientStorage',
  'InsufficientCapacity',
]);
const isFull = (error: unknown): boolean => fullNames.has((error as S3Error).name ?? '') || statusOf(error) === 507;

/**
 * An error of the client as one that may be logged: the original can carry the request with its access key and
 * signature. That a condition did not hold becomes `OBJECT_EXISTS`, that there is no room `STORAGE_FULL`.
 */
export function fromS3(error: unknown): unknown {
  if (!(error instanceof Error)) return new Error('S3 failed');
  if (statusOf(error) === 412) return conflict('OBJECT_EXISTS', 'There is such an object already.');
  if (isFull(error)) return storageFull(described(error));
  return described(error);
}

function described(error: Error): Error {
  const { name = 'Error', message = '', $metadata } = error as S3Error;
  if (!$metadata) return Object.assign(new Error(message || name), { name });
  const { httpStatusCode: status, requestId, attempts } = $metadata;
  const facts = [status && `status ${status}`, attempts && `${attempts} attempts`, requestId && `request ${requestId}`];
  const text = facts.filter(Boolean).join(', ');
  return Object.assign(new Error(`${message || name}${text ? ` (${text})` : ''}`), { name });
}
