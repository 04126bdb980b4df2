import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { call, expectStatus, until } from '@worktide/testing';
import { invite, makeAgentKey, type Person, ping, post, register, yesterdayNoon } from './support/people.ts';
import { type Product, startProduct, temporaryFolder } from './support/product.ts';

/** History comes along (I12), on the whole product. */

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

const dayMs = 86_400_000;
/** A UTC day long before what the gateway takes. */
const longAgo = Math.floor(Date.now() / dayMs) * dayMs - 300 * dayMs;
const iso = (ms: number): string => new Date(ms).toISOString();
const dateOf = (ms: number): string => iso(ms).slice(0, 10);

async function upload(
  person: { accessToken: string },
  kind: string,
  file: string,
  fields: Record<string, string> = {},
) {
  const form = new FormData();
  form.set('kind', kind);
  for (const [name, value] of Object.entries(fields)) form.set(name, value);
  form.set('file', new Blob([file]), 'export.file');
  const answer = await fetch(`${product.url}/api/v1/imports`, {
    method: 'POST',
    headers: { authorization: `Bearer ${person.accessToken}` },
    body: form,
  });
  return { status: answer.status, body: (await answer.json()) as { importId: string; code?: string } };
}

const importPath = (id: string): string => `/api/v1/imports/${id}`;
const get = async (person: Person, path: string) =>
  expectStatus(await call(product.url, 'get', path, { bearer: person.accessToken }), 200);
const reaches = (person: Person, id: string, ...wanted: string[]) =>
  until(`it is ${wanted}`, async () => {
    const job = await get(person, importPath(id)).catch(() => undefined);
    return job && wanted.includes(job.status) && job;
  });
async function bring(person: Person, kind: string, file: string, fields: Record<string, string> = {}) {
  const taken = await upload(person, kind, file, fields);
  expect(taken).toMatchObject({ status: 202 });
  return reaches(person, taken.body.importId, 'ready', 'failed');
}
async function start(person: Person, id: string) {
  expectStatus(await call(product.url, 'post', `${importPath(id)}/start`, { bearer: person.accessToken }), 202);
  return reaches(person, id, 'done', 'failed');
}
const takeOut = async (person: Person, id: string): Promise<void> =>
  void expectStatus(await call(product.url, 'delete', importPath(id), { bearer: person.accessToken }), 204);

const activeSeconds = async (person: Person, at: number): Promise<number> => {
  const day = dateOf(at);
  return (await get(person, `/api/v1/reports/daily?from=${day}&to=${day}&timezone=UTC`)).items[0].activeSeconds;
};
const shows = (person: Person, at: number, seconds: number): Promise<unknown> =>
  until(`${seconds} s are shown`, async () => (await activeSeconds(person, at)) === seconds);

/** An export with windows of a minute each, from some instants on. */
const activityWatch = (starts: readonly number[], hostname = 'desk'): string =>
  JSON.stringify({
    buckets: {
      [`aw-watcher-window_${hostname}`]: {
        id: `aw-watcher-window_${hostname}`,
        type: 'currentwindow',
        client: 'aw-watcher-window',
        hostname,
        events: starts.map((at, i) => ({
          id: i,
          timestamp: iso(at).replace('Z', '000+00:00'),
          duration: 60.0,
          data: { app: i % 2 ? 'Code' : 'Mail', title: `T ${i}` },
        })),
      },
      [`aw-watcher-x_${hostname}`]: {
        type: 'unheard.of',
        client: 'x',
        hostname,
        events: [{ timestamp: iso(longAgo), duration: 1, data: {} }],
      },
    },
  });
const minutes = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i * 60_000);

describe('usage', () => {
  test('is previewed, imported, there once however often it is brought, and taken out as a whole; a live agent’s stays', async () => {
    const person = await register(product.url);
    const noon = longAgo + 12 * 3_600_000;
    const yesterday = yesterdayNoon();
    await post(product.url, person.accessToken, ping('Live', { at: yesterday + 3_600_000, seconds: 600 }));
    const file = activityWatch([...minutes(noon, 30), ...minutes(yesterday, 10)]);
    const job = await bring(person, 'activitywatch', file);
    expect(job).toMatchObject({
      status: 'ready',
      kind: 'activitywatch',
      result: null,
      preview: {
        rows: 41,
        usable: 40,
        from: iso(noon),
        to: iso(yesterday + 10 * 60_000),
        people: [{ userId: person.userId }],
        devices: [{ name: 'desk', rows: 40 }],
        problems: [{ code: 'NOT_TIME', count: 1, rows: [41] }],
      },
    });
    await shows(person, yesterday, 600);
    expect(await activeSeconds(person, noon)).toBe(0);

    const done = await start(person, job.id);
    expect(done).toMatchObject({ status: 'done', progress: 1, result: { added: 40, alreadyThere: 0, refused: 1 } });
    await shows(person, noon, 1_800);
    await shows(person, yesterday, 1_200);

    // The same again, and a longer one.
    const again = await bring(person, 'activitywatch', file);
    expect((await start(person, again.id)).result).toMatchObject({ added: 0, alreadyThere: 40 });
    const longer = await bring(
      person,
      'activitywatch',
      activityWatch([...minutes(noon, 30), ...minutes(noon + 1_800_000, 5)]),
    );
    expect((await start(person, longer.id)).result).toMatchObject({ added: 5, alreadyThere: 30 });
    await shows(person, noon, 2_100);
    const usage = `/api/v1/usage?from=${iso(longAgo)}&to=${iso(longAgo + dayMs)}&limit=500`;
    expect((await get(person, usage)).items).toHaveLength(35);

    await takeOut(person, again.id);
    await takeOut(person, job.id);
    await shows(person, noon, 300);
    await shows(person, yesterday, 600);
    expect((await get(person, usage)).items).toHaveLength(5);
    const gone = await call(product.url, 'get', importPath(job.id), { bearer: person.accessToken });
    expect(gone.status).toBe(404);

    // What was taken out may come again.
    const third = await bring(person, 'activitywatch', file);
    expect((await start(person, third.id)).result).toMatchObject({ added: 40, alreadyThere: 0 });
    await shows(person, noon, 2_100);
    const { items } = await get(person, '/api/v1/imports?limit=1');
    expect(items.map(({ id }: { id: string }) => id)).toEqual([third.id]);
  }, 60_000);

  test('of editors is time of the editor, and what WakaTime’s protocol reads back', async () => {
    const person = await register(product.url);
    const at = yesterdayNoon();
    const heartbeat = (n: number) => ({
      entity: `/src/${n}.ts`,
      type: 'file',
      time: at / 1000 + n * 60,
      project: 'tide',
      language: 'TypeScript',
      is_write: false,
      machine_name_id: 'm1',
      user_agent_id: 'u1',
    });
    const old = { ...heartbeat(0), time: 1_000_000_000 };
    const dump = {
      user: {},
      range: {},
      days: [{ date: dateOf(at), heartbeats: [0, 1, 2, 3, 4, 5].map(heartbeat) }, { heartbeats: [old] }],
    };
    const job = await bring(person, 'wakatime', JSON.stringify(dump));
    expect(job.preview).toMatchObject({ rows: 7, usable: 6, problems: [{ code: 'OLDER_THAN_KEPT', count: 1 }] });
    await start(person, job.id);
    await shows(person, at, 300);
    const { key } = await makeAgentKey(product.url, person);
    const read = async () => {
      const { body } = await call(product.url, 'get', `/api/v1/users/current/heartbeats?date=${dateOf(at)}`, {
        bearer: key,
      });
      return body.data.map(({ project }: { project: string }) => project);
    };
    expect(await read()).toEqual(Array.from({ length: 6 }, () => 'tide'));
    await takeOut(person, job.id);
    await until('nothing is read back', async () => (await read()).length === 0);
    await shows(person, at, 0);
  }, 60_000);

  test('goes on where it was after the process was killed in the middle', async () => {
    const person = await register(product.url);
    // Some days of it, so that it takes a while.
    const starts = minutes(longAgo, 12_000);
    const job = await bring(person, 'activitywatch', activityWatch(starts));
    expectStatus(await call(product.url, 'post', `${importPath(job.id)}/start`, { bearer: person.accessToken }), 202);
    await until('it is in the middle', async () => {
      const { status, result } = await get(person, importPath(job.id));
      return status === 'done' || result.added > 0;
    });
    await product.process.kill9();
    await product.process.restart();
    const done = await reaches(person, job.id, 'done');
    expect(done.result).toMatchObject({ added: 12_000, alreadyThere: 0, refused: 1 });
    for (const day of [0, 4, 7]) await shows(person, longAgo + day * dayMs, 86_400);
    await takeOut(person, job.id);
    for (const day of [0, 4, 7]) await shows(person, longAgo + day * dayMs, 0);
  }, 120_000);
});

describe('time entries', () => {
  const toggl =
    'User,Email,Client,Project,Task,Description,Billable,Start date,Start time,End date,End time,Duration,Tags,Amount ()';
  const day = dateOf(longAgo);
  const line = (email: string, description: string, from: string, to: string, project = 'Site') =>
    `Somebody,${email},,${project},,"${description}",Yes,${day},${from}:00,${day},${to}:00,01:00:00,"a, b",`;
  const entriesOf = async (person: Person, userId = person.userId) =>
    (
      await get(
        person,
        `/api/v1/time-entries?from=${iso(longAgo - dayMs)}&to=${iso(longAgo + 2 * dayMs)}&userId=${userId}`,
      )
    ).items;

  test('of a Toggl report are those of the people of the organisation, there once, and taken out as a whole', async () => {
    const admin = await register(product.url);
    const employee = await invite(product, admin, 'employee');
    const body = { name: 'site' };
    const project = expectStatus(
      await call(product.url, 'post', '/api/v1/projects', { bearer: admin.accessToken, body }),
      201,
    );
    const manual = { startTime: `${day}T06:00:00Z`, endTime: `${day}T08:00:00Z`, userId: employee.userId };
    expectStatus(
      await call(product.url, 'post', '/api/v1/time-entries/manual', { bearer: admin.accessToken, body: manual }),
      201,
    );
    const file = [
      toggl,
      line(admin.email, 'Mine', '09:00', '10:00', 'Unheard of'),
      line(employee.email.toUpperCase(), 'Theirs, "quoted"', '11:00', '12:00').replace('"quoted"', '""quoted""'),
      line(employee.email, 'Over another', '08:15', '09:15'),
      line('nobody@example.com', 'Nobody’s', '11:00', '12:00'),
      line(admin.email, 'Never', '25:00', '26:00'),
    ].join('\r\n');
    const refused = await upload(admin, 'toggl', file);
    expect(refused).toMatchObject({ status: 400, body: { code: 'TIMEZONE_REQUIRED' } });

    const job = await bring(admin, 'toggl', file, { timezone: 'Europe/Berlin' });
    expect(job.preview).toMatchObject({ rows: 5, usable: 3, timezone: 'Europe/Berlin' });
    expect(job.preview.people).toEqual([
      { name: 'Somebody', email: admin.email, userId: admin.userId, rows: 2 },
      { name: 'Somebody', email: employee.email.toUpperCase(), userId: employee.userId, rows: 2 },
      { name: 'Somebody', email: 'nobody@example.com', userId: null, rows: 1 },
    ]);
    expect(job.preview.projects).toEqual([
      { name: 'Site', projectId: project.id, rows: 3 },
      { name: 'Unheard of', projectId: null, rows: 1 },
    ]);
    const done = await start(admin, job.id);
    expect(done.result).toMatchObject({ added: 2, alreadyThere: 0, refused: 3 });
    expect(done.result.problems.map(({ code }: { code: string }) => code).sort()).toEqual([
      'INVALID_TIME',
      'OVERLAP',
      'PERSON_UNKNOWN',
    ]);
    const offset = new Date(longAgo)
      .toLocaleString('en', { timeZone: 'Europe/Berlin', timeZoneName: 'longOffset' })
      .slice(-5);
    const [theirs] = await entriesOf(admin, employee.userId);
    expect(theirs).toMatchObject({
      kind: 'imported',
      description: 'Theirs, "quoted"',
      projectId: project.id,
      tags: ['a', 'b'],
      billable: true,
      startTime: iso(Date.parse(`${day}T11:00:00+${offset}`)),
      workedSeconds: 3_600,
    });
    expect(await entriesOf(admin)).toMatchObject([
      { description: 'Mine', projectId: null, tags: ['a', 'b', 'Unheard of'] },
    ]);

    const again = await bring(admin, 'toggl', file, { timezone: 'Europe/Berlin' });
    expect((await start(admin, again.id)).result).toMatchObject({ added: 0, alreadyThere: 2, refused: 3 });
    await takeOut(admin, job.id);
    await until('they are gone', async () => (await entriesOf(admin)).length === 0);
    await until('theirs, too', async () => (await entriesOf(admin, employee.userId)).length === 1);
    expect(await entriesOf(admin, employee.userId)).toMatchObject([{ kind: 'manual' }]);
    const history = await get(admin, `/api/v1/time-entries/${theirs.id}/history`);
    expect(history.items.map(({ action }: { action: string }) => action).sort()).toEqual(['deleted', 'synced']);
  }, 60_000);

  test('of a Clockify report are refused where its dates could be two days, and taken where it is said which', async () => {
    const admin = await register(product.url);
    const employee = await invite(product, admin, 'employee');
    const clockify = (date: string, other: string) =>
      [
        '"Project","Client","Description","Task","User","Group","Email","Tags","Billable","Start Date","Start Time","End Date","End Time","Duration (h)","Duration (decimal)"',
        `"","","One","","Me","","me@elsewhere.example","","No","${date}","09:00:00 AM","${date}","10:00:00 AM","01:00:00","1.00"`,
        `"","","Two","","Me","","me@elsewhere.example","","No","${other}","01:00:00 PM","${other}","02:00:00 PM","01:00:00","1.00"`,
      ].join('\n');
    const year = new Date(longAgo).getUTCFullYear();
    const refused = await bring(employee, 'clockify', clockify(`03/04/${year}`, `03/03/${year}`));
    expect(refused).toMatchObject({ status: 'failed', failure: { code: 'AMBIGUOUS_DATES' }, preview: null });
    const ended = await call(product.url, 'post', `${importPath(refused.id)}/start`, { bearer: employee.accessToken });
    expect(ended).toMatchObject({ status: 409, body: { code: 'IMPORT_FAILED' } });

    const job = await bring(employee, 'clockify', clockify(`03/04/${year}`, `03/03/${year}`), { dateOrder: 'mdy' });
    // A file of one person is theirs who bring it, whatever they are called there.
    expect(job.preview).toMatchObject({
      usable: 2,
      from: `${year}-03-03T13:00:00.000Z`,
      people: [{ userId: employee.userId }],
    });
    expect((await start(employee, job.id)).result).toMatchObject({ added: 2 });
    // The other rows say it.
    const told = await bring(employee, 'clockify', clockify(`03/04/${year}`, `03/13/${year}`));
    expect(told.preview).toMatchObject({ from: `${year}-03-04T09:00:00.000Z` });
  }, 60_000);
});

test('an import is its maker’s and the administrators’, and no agent’s', async () => {
  const admin = await register(product.url);
  const employee = await invite(product, admin, 'employee');
  const colleague = await invite(product, admin, 'manager');
  const stranger = await register(product.url);
  const job = await bring(employee, 'activitywatch', activityWatch(minutes(longAgo, 3)));
  const ask = async (bearer: string, method: string, path = '') =>
    (await call(product.url, method, `${importPath(job.id)}${path}`, { bearer })).status;
  for (const other of [colleague, stranger]) {
    expect(await ask(other.accessToken, 'get')).toBe(404);
    expect(await ask(other.accessToken, 'post', '/start')).toBe(404);
    expect(await ask(other.accessToken, 'delete')).toBe(404);
    expect((await get(other, '/api/v1/imports')).items).toEqual([]);
  }
  expect(await ask(admin.accessToken, 'get')).toBe(200);
  expect(await ask(admin.accessToken, 'post', '/start')).toBe(403);
  const { key } = await makeAgentKey(product.url, employee);
  expect(await ask(key, 'get')).toBe(403);
  expect((await upload({ accessToken: key }, 'activitywatch', '{}')).status).toBe(403);
  expect((await bring(employee, 'activitywatch', '{"buckets": {"a": [')).failure.code).toBe('MALFORMED_JSON');
  expect((await bring(employee, 'toggl', 'a,b\n1,2', { timezone: 'UTC' })).failure.code).toBe('NOT_THIS_KIND');
  expect(await ask(admin.accessToken, 'delete')).toBe(204);
  expect((await get(employee, '/api/v1/imports')).items).toHaveLength(2);
}, 60_000);
