import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { call, expectStatus, type Json, until } from '@worktide/testing';
import { offlineEntry, syncBatch } from './support/entries.ts';
import { makeAgentKey, type Person, register, yesterdayNoon } from './support/people.ts';
import { type Product, startProduct, temporaryFolder } from './support/product.ts';

/** Entries recorded offline, from an agent's key to what people see of them, on the whole product. */

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let product: Product;
beforeAll(async () => {
  folder = await temporaryFolder();
  product = await startProduct(folder.dir);
}, 60_000);
afterAll(async () => {
  await product?.process.stop();
  await folder?.remove();
});

interface Laptop {
  person: Person;
  sync(...entries: unknown[]): ReturnType<typeof syncBatch>;
  /** `[start, end, worked seconds]` in hours since noon, by start. */
  entries(): Promise<unknown[]>;
  settle(settings: object): Promise<void>;
}

async function newLaptop(): Promise<Laptop> {
  const { url } = product;
  const person = await register(url);
  const { key } = await makeAgentKey(url, person);
  const bearer = person.accessToken;
  const hours = (text: string | null): number | null =>
    text === null ? null : (Date.parse(text) - yesterdayNoon()) / 3_600_000;
  return {
    person,
    sync: (...entries) => syncBatch(url, key, entries),
    async entries() {
      const [from, to] = [-1, 2].map((days) => new Date(yesterdayNoon() + days * 86_400_000).toISOString());
      const path = `/api/v1/time-entries?from=${from}&to=${to}`;
      const { items } = expectStatus(await call(url, 'get', path, { bearer }), 200);
      return items
        .map((entry: Json) => [hours(entry.startTime), hours(entry.endTime), entry.workedSeconds])
        .toReversed();
    },
    async settle(settings) {
      expectStatus(await call(url, 'patch', '/api/v1/organization', { bearer, body: { settings } }), 200);
    },
  };
}

const at = (hours: number): string => new Date(yesterdayNoon() + hours * 3_600_000).toISOString();
const entry = (key: string, from: number, to: number, more: object = {}) =>
  offlineEntry(key, { startTime: at(from), endTime: at(to), ...more });

test('a timer that ran offline is seen as it went on: running, then 5,400 s, and never again running', async () => {
  const { sync, entries } = await newLaptop();
  const running = offlineEntry('a', { startTime: at(0), endTime: undefined, status: 'RUNNING' });
  expect(await sync(running)).toMatchObject({ processed: 1, results: [{ outcome: 'created' }] });
  expect(await entries()).toEqual([[0, null, expect.any(Number)]]);
  expect(await sync(entry('a', 0, 1.5, { duration: 1 }))).toMatchObject({
    processed: 1,
    results: [{ outcome: 'updated' }],
  });
  expect(await sync(running)).toMatchObject({ processed: 0, skipped: 1 });
  expect(await entries()).toEqual([[0, 1.5, 5_400]]);
});

test('overlap is a conflict until the organisation merges: then one entry of 10,800 s', async () => {
  const { sync, entries, settle } = await newLaptop();
  const { results } = await sync(entry('a', 0, 2));
  const conflict = { index: 0, idempotencyKey: 'b', reason: 'overlap', conflictsWith: results[0]!.id };
  expect(await sync(entry('b', 1, 3))).toMatchObject({ processed: 0, conflicts: [conflict] });
  await settle({ overlapPolicy: 'merge' });
  await until('the setting is in force', async () => (await sync(entry('b', 1, 3))).conflicts.length === 0);
  expect(await entries()).toEqual([[0, 3, 10_800]]);
});

test('projects that are none, or archived, are conflicts; a batch keeps what is good', async () => {
  const { person, sync, entries } = await newLaptop();
  const make = async (body: object): Promise<string> =>
    expectStatus(await call(product.url, 'post', '/api/v1/projects', { bearer: person.accessToken, body }), 201).id;
  const projectId = await make({ name: 'P' });
  const archived = await make({ name: 'Q', status: 'archived' });
  const answer = await sync(
    entry('a', 0, 1, { projectId }),
    entry('b', 1, 2, { projectId: randomUUID() }),
    entry('c', 2, 3, { projectId: archived }),
    entry('d', 3, 4, { taskId: randomUUID() }),
    entry('e', 5, 4),
    { ...entry('f', 4, 5), idempotencyKey: undefined },
    entry('g', 5, 6),
  );
  expect(answer.conflicts.map(({ index, reason, code }) => [index, reason, code])).toEqual([
    [1, 'project_unknown', undefined],
    [2, 'project_archived', undefined],
    [3, 'task_unknown', undefined],
    [4, 'invalid', 'END_BEFORE_START'],
    [5, 'missing_idempotency_key', 'MISSING_IDEMPOTENCY_KEY'],
  ]);
  expect(await entries()).toEqual([
    [0, 1, 3_600],
    [5, 6, 3_600],
  ]);
});
