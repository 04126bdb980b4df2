import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { call, expectStatus, type Json, until } from '@worktide/testing';
import { invite, makeAgentKey, type Person, ping, post } from './people.ts';
import { runToEnd } from './processes.ts';
import { type Product, repository } from './product.ts';

/** As `npm run demo` registers its administrator. */
export const demoEmail = 'ada@northwind.example';
export const demoPassword = 'northwind-demo-password';

/** What a page that took text for markup would run; it is a part of every text that can be entered. */
export const markup = '<img src=x onerror="window.hacked=1">';

export interface Staff {
  admin: Person;
  manager: Person;
  employee: Person;
  /** Of the employee. */
  key: string;
  projectId: string;
  taskId: string;
}

/** The organisation of the demo, with a manager, an employee, and something in every list. */
export async function staffOfDemo(product: Pick<Product, 'url' | 'data'>, days: number): Promise<Staff> {
  const demo = path.join(repository, 'tools/fleet/src/demo.ts');
  const { code, output } = await runToEnd(
    process.execPath,
    [demo, '--url', product.url, '--once', '--days', String(days)],
    { env: {} },
  );
  if (code !== 0) throw new Error(`the demo ended with ${code}: ${output}`);
  const login = { body: { email: demoEmail, password: demoPassword } };
  const { user, accessToken } = expectStatus(await call(product.url, 'post', '/api/v1/auth/login', login), 200);
  const admin: Person = {
    email: demoEmail,
    password: demoPassword,
    userId: user.id,
    organizationId: user.organizationId,
    accessToken,
  };
  const api = async (as: Person, method: string, at: string, status: number, body?: object): Promise<Json> =>
    expectStatus(await call(product.url, method, `/api/v1${at}`, { bearer: as.accessToken, body }), status);

  const mark = randomBytes(3).toString('hex');
  const manager = await invite(product, admin, 'manager', `grace-${mark}`);
  const employee = await invite(product, admin, 'employee', `lin-${mark}`);
  await api(manager, 'patch', '/auth/me', 200, { name: `Grace ${markup}` });
  await api(employee, 'patch', '/auth/me', 200, { name: `Lin ${markup}` });
  const { key } = await makeAgentKey(product.url, employee, 'lin-laptop');

  const project = await api(manager, 'post', '/projects', 201, {
    name: `Invoices ${mark} ${markup}`,
    description: `Monthly ${markup}`,
    clientName: `Client ${markup}`,
    budgetSeconds: 360_000,
  });
  await api(manager, 'post', '/projects', 201, { name: `Website ${mark}` });
  const task = await api(manager, 'post', '/tasks', 201, {
    projectId: project.id,
    title: `Round the invoice ${markup}`,
    description: `To cents ${markup}`,
    assigneeId: employee.userId,
    priority: 'high',
  });
  const team = await api(manager, 'post', '/teams', 201, { name: `Billing ${mark} ${markup}`, projectId: project.id });
  await api(manager, 'post', `/teams/${team.id}/members`, 201, { userId: employee.userId });
  const noon = Math.floor(Date.now() / 86_400_000) * 86_400_000 - 43_200_000;
  const iso = (ms: number): string => new Date(ms).toISOString();
  await api(employee, 'post', '/time-entries/manual', 201, {
    projectId: project.id,
    taskId: task.id,
    description: `Yesterday ${markup}`,
    tags: [markup],
    startTime: iso(noon - 5_400_000),
    endTime: iso(noon + 1_801_000),
  });
  // A timer on an empty chair is an alert within a moment.
  await api(employee, 'post', '/time-entries', 201, {
    projectId: project.id,
    description: `Now ${markup}`,
    startTime: iso(Date.now() - 1_200_000),
  });
  const apps = [`Editor ${markup}`, 'Firefox', 'Terminal'];
  await post(
    product.url,
    key,
    apps.flatMap((app, n) => [
      ping(app, {
        at: noon + n * 900_000,
        seconds: 601 + n,
        title: `Title ${markup}`,
        url: 'https://example.com/?q=<script>',
      }),
      ping(app, { at: noon + n * 900_000 + 700_000, seconds: 90, state: 'idle' }),
    ]),
  );
  await until('an alert', async () => (await api(admin, 'get', '/alerts?state=open', 200)).items.length > 0);
  return { admin, manager, employee, key, projectId: project.id, taskId: task.id };
}
