import { afterEach, describe, expect, test } from '@jest/globals';
import { backend } from '@worktide/backends';
import { uuidv7 } from '@worktide/runtime';
import { claimKey, uploadKey } from '@worktide/schemas';
import { caller } from '../testing.ts';
import { type Answer, type Gateway, other, picture, startGateway } from './testing.ts';

let gateway: Gateway;
afterEach(() => gateway.close());

const keyOf = (screenshotId: string): string => uploadKey(caller.organizationId, caller.userId, screenshotId);

async function claimOf(screenshotId: string): Promise<Record<string, unknown>> {
  const found = await gateway.store.get(claimKey(caller.organizationId, caller.userId, screenshotId));
  return JSON.parse(Buffer.concat((await found!.body.toArray()) as Buffer[]).toString());
}

async function presign(given: Record<string, unknown>): Promise<Answer['body']> {
  const answer = await gateway.json('presign', { contentType: 'image/png', ...given });
  expect(answer.status).toBe(201);
  return answer.body;
}

const upload = async (
  { uploadUrl, headers }: { uploadUrl: string; headers: Record<string, string> },
  bytes: Buffer,
): Promise<number> => {
  const { 'content-length': _, ...rest } = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
  );
  const response = await fetch(new URL(uploadUrl, gateway.url), {
    method: 'PUT',
    headers: rest as Record<string, string>,
    body: bytes as unknown as string,
  });
  await response.arrayBuffer();
  return response.status;
};

const confirm = async (body: Record<string, unknown>, bearer = 'agent'): Promise<[number, string | undefined]> => {
  const { status, body: answer } = await gateway.json('confirm', body, { authorization: `Bearer ${bearer}` });
  return [status, answer.code];
};

describe.each(['folder', 's3'])('signed uploads to a store of kind %s', (kind) => {
  const open = async (env?: Record<string, string>): Promise<void> => {
    gateway = await startGateway(env, kind === 's3' ? await backend('s3') : undefined);
  };

  test('presign, PUT, confirm: the event; again is harmless, also when the upload has been processed', async () => {
    await open();
    const bytes = picture(200_000);
    const timeEntryId = uuidv7();
    const agreed = await presign({ size: bytes.length, timeEntryId });
    const { screenshotId } = agreed;
    expect(screenshotId).toMatch(/^[\da-f]{8}-[\da-f]{4}-7/);
    const left = Date.parse(agreed.expiresAt) - Date.now();
    expect(left).toBeGreaterThan(14 * 60_000);
    expect(left).toBeLessThanOrEqual(15 * 60_000);
    expect(await confirm({ screenshotId })).toEqual([409, 'UPLOAD_MISSING']);
    expect(await upload(agreed, bytes)).toBe(200);
    expect(await gateway.events()).toEqual([]);

    const capturedAt = new Date(Date.now() - 5_000).toISOString();
    const said = { screenshotId, capturedAt, blurLevel: 3, metadata: { os: 'x' } };
    expect(await confirm(said)).toEqual([202, undefined]);
    expect(await gateway.events()).toEqual([
      {
        organizationId: caller.organizationId,
        userId: caller.userId,
        screenshotId,
        objectKey: keyOf(screenshotId),
        contentType: 'image/png',
        size: bytes.length,
        capturedAt: Date.parse(capturedAt),
        receivedAt: expect.any(Number),
        timeEntryId,
        blurLevel: 3,
        metadata: { os: 'x' },
      },
    ]);
    expect(await claimOf(screenshotId)).toMatchObject({ confirmedAt: expect.any(Number), size: bytes.length });

    expect(await confirm(said)).toEqual([202, undefined]);
    expect(await gateway.events()).toHaveLength(2);
    await gateway.store.delete(keyOf(screenshotId));
    expect(await confirm(said)).toEqual([202, undefined]);
    expect(await gateway.events()).toHaveLength(2);
    expect(await gateway.metric('worktide_uploads_accepted_total', { way: 'signed' })).toBe(1);
  });

  test('nobody else can confirm it, and what was never agreed on is not there', async () => {
    await open();
    const bytes = picture(1_000);
    const agreed = await presign({ size: bytes.length });
    await upload(agreed, bytes);
    expect(await confirm({ screenshotId: agreed.screenshotId }, 'other')).toEqual([404, 'NOT_FOUND']);
    expect(await confirm({ screenshotId: uuidv7() })).toEqual([404, 'NOT_FOUND']);
    expect(await gateway.events()).toEqual([]);
    expect(await gateway.store.head(keyOf(agreed.screenshotId))).toBeDefined();
    expect(other.userId).not.toBe(caller.userId);
  });

  test('the link takes no other size or type', async () => {
    await open();
    const agreed = await presign({ size: 1_000 });
    expect(await upload(agreed, picture(1_001))).toBeGreaterThanOrEqual(400);
    const otherType = { ...agreed, headers: { ...agreed.headers, 'content-type': 'text/html' } };
    expect(await upload(otherType, picture(1_000))).toBeGreaterThanOrEqual(400);
    expect(await confirm({ screenshotId: agreed.screenshotId })).toEqual([409, 'UPLOAD_MISSING']);
  });

  test('what is not as agreed is refused and removed', async () => {
    await open();
    const wrong: [Buffer, string, number, string][] = [
      [picture(999), 'image/png', 409, 'UPLOAD_DIFFERS'],
      [picture(1_000), 'image/jpeg', 409, 'UPLOAD_DIFFERS'],
      [picture(1_000, 'image/jpeg'), 'image/png', 409, 'UPLOAD_DIFFERS'],
      [Buffer.alloc(1_000, '<svg/>'), 'image/png', 415, 'UNSUPPORTED_PICTURE'],
      [Buffer.alloc(0), 'image/png', 400, 'EMPTY_FILE'],
    ];
    for (const [bytes, contentType, status, code] of wrong) {
      const { screenshotId } = await presign({ size: 1_000 });
      await gateway.store.put(keyOf(screenshotId), bytes, { contentType });
      expect(await confirm({ screenshotId })).toEqual([status, code]);
      expect(await gateway.store.head(keyOf(screenshotId))).toBeUndefined();
      expect(await confirm({ screenshotId })).toEqual([409, 'UPLOAD_MISSING']);
    }
    expect(await gateway.events()).toEqual([]);
  });

  test('while the log is away: 503, and the next confirm is the first', async () => {
    await open();
    const bytes = picture(1_000);
    const agreed = await presign({ size: bytes.length });
    await upload(agreed, bytes);
    gateway.log.away = true;
    expect(await confirm({ screenshotId: agreed.screenshotId })).toEqual([503, 'DEPENDENCY_UNAVAILABLE']);
    expect(await claimOf(agreed.screenshotId)).not.toHaveProperty('confirmedAt');
    gateway.log.away = false;
    expect(await confirm({ screenshotId: agreed.screenshotId })).toEqual([202, undefined]);
    expect(await gateway.events()).toHaveLength(1);
  });
});

test('what cannot become a screenshot is refused before a link is given', async () => {
  gateway = await startGateway();
  const { json } = gateway;
  const answers = [];
  for (const body of [
    { contentType: 'image/png', size: 50_000_001 },
    { contentType: 'image/gif', size: 1_000 },
    { contentType: 'image/png', size: 0 },
    { contentType: 'image/png', size: 1_000, timeEntryId: 'x' },
  ]) {
    const answer = await json('presign', body);
    answers.push([answer.status, answer.body.code]);
  }
  expect(answers).toEqual([
    [413, 'BODY_TOO_LARGE'],
    [400, 'VALIDATION_FAILED'],
    [400, 'VALIDATION_FAILED'],
    [400, 'VALIDATION_FAILED'],
  ]);
  const screenshotId = uuidv7();
  const nested = JSON.parse(`${'{"a":'.repeat(2_000)}1${'}'.repeat(2_000)}`);
  expect(await confirm({ screenshotId, metadata: nested })).toEqual([400, 'VALIDATION_FAILED']);
  const future = new Date(Date.now() + 301_000).toISOString();
  expect(await confirm({ screenshotId, capturedAt: future })).toEqual([400, 'CAPTURED_IN_FUTURE']);
  expect(await confirm({ screenshotId, blurLevel: 4 })).toEqual([400, 'VALIDATION_FAILED']);
  expect(await gateway.keys()).toEqual([]);
});
