import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { uuidv7 } from '@worktide/runtime';
import { privacyRules } from '@worktide/schemas';
import { field, fileOf, form, type Gateway, picture, startGateway } from './testing.ts';

let gateway: Gateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway?.close());
beforeEach(() => {
  Object.assign(gateway.privacy, { rules: undefined, pause: undefined, away: false });
});

const upload = (...fields: string[]) => gateway.post(form(fileOf(picture(200_000)), ...fields));

test('of somebody who pauses a screenshot is answered as taken, and kept nowhere', async () => {
  const paused = { from: Date.now() - 1_000, until: Date.now() + 60_000 };
  gateway.privacy.pause = paused;
  const screenshotId = uuidv7();
  expect(await upload(field('screenshotId', screenshotId))).toMatchObject({ status: 202, body: { screenshotId } });
  expect((await upload()).body).toEqual({ screenshotId: expect.any(String) });
  // What is wrong with it is told all the same.
  expect((await gateway.post(form(fileOf('no picture')))).status).toBe(415);
  expect(await gateway.keys()).toEqual([]);
  expect(await gateway.events()).toEqual([]);
  expect(await gateway.metric('worktide_privacy_taken_total', { kind: 'pause' })).toBe(2);
  expect(await gateway.metric('worktide_uploads_accepted_total', { way: 'form' })).toBe(0);
});

test('when it was taken is what counts, wherever in the form that stands', async () => {
  gateway.privacy.rules = privacyRules.parse({ trackingHours: { timezone: 'UTC', days: {} } });
  expect((await upload(field('capturedAt', new Date(Date.now() - 1_000).toISOString()))).status).toBe(202);
  expect(await gateway.keys()).toEqual([]);
  gateway.privacy.rules = undefined;
  gateway.privacy.pause = { from: Date.now() - 60_000, until: Date.now() - 30_000 };
  expect((await upload(field('capturedAt', new Date(Date.now() - 40_000).toISOString()))).status).toBe(202);
  expect(await gateway.keys()).toEqual([]);
  expect(await gateway.events()).toEqual([]);
  expect((await upload(field('capturedAt', new Date(Date.now() - 20_000).toISOString()))).status).toBe(202);
  expect(await gateway.keys()).toHaveLength(1);
  expect(await gateway.events()).toHaveLength(1);
});

test('what came past the gateway is removed when it is confirmed', async () => {
  const bytes = picture(1_000);
  const asked = await gateway.json('presign', { contentType: 'image/png', size: bytes.length });
  const { screenshotId, uploadUrl, headers } = asked.body;
  expect(
    (await fetch(new URL(uploadUrl, gateway.url), { method: 'PUT', headers, body: bytes as never })).status,
  ).toBeLessThan(300);
  gateway.privacy.pause = { from: Date.now() - 1_000, until: Date.now() + 60_000 };
  const before = (await gateway.events()).length;
  for (const _ of [1, 2]) {
    expect(await gateway.json('confirm', { screenshotId })).toMatchObject({ status: 202, body: { screenshotId } });
  }
  expect((await gateway.keys()).filter((key) => key.includes(screenshotId) && !key.includes('claim'))).toEqual([]);
  expect(await gateway.events()).toHaveLength(before);
});

test('where the rules are not known nothing is taken', async () => {
  gateway.privacy.away = true;
  const before = await gateway.keys();
  expect((await upload()).status).toBe(503);
  expect(await gateway.keys()).toEqual(before);
});
