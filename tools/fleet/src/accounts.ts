import { type Answer, type HttpClient, type Outgoing, sendUntilAnswered } from './client.ts';

export interface Device {
  deviceId: string;
  agentKey: string;
}

/** A user of the product and how to act as them. */
export interface Account {
  /** How to log in; unknown of users that came as agent keys. */
  login?: { email: string; password: string };
  userId: string;
  organizationId: string;
  timezone: string;
  devices: Device[];
  /** What its organisation has every screenshot blurred to at least. */
  minimumBlurLevel: number;
  /** What reads go out with: the access token of a log-in, and after its end an agent key, which lasts. */
  bearer: string;
}

export interface AccountsContext {
  client: HttpClient;
  /** Origin of auth. */
  origin: string;
  /** Epoch ms. */
  deadline: number;
  signal?: AbortSignal;
}

/** Registering costs the service tens of milliseconds of CPU each; more at once would only wait in line there. */
const parallelRegistrations = 4;

/** Runs over all items, at most `width` at a time; the first failure ends it. */
export async function inParallel<T, R>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = new Array(items.length);
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < items.length) {
      const i = next++;
      results[i] = await work(items[i]!);
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane));
  return results;
}

function outgoing(
  path: string,
  body: object | undefined,
  bearer?: string,
  method: 'POST' | 'PATCH' = 'POST',
): Outgoing {
  const headers: Record<string, string> = {};
  if (bearer !== undefined) headers.authorization = `Bearer ${bearer}`;
  if (body === undefined) return { method: 'GET', path, headers };
  headers['content-type'] = 'application/json';
  return { method, path, headers, body: JSON.stringify(body) };
}

/** The JSON of an answer that must have this status. */
function expectStatus(answer: Answer, status: number, what: string): unknown {
  if (answer.status !== status) throw new Error(`${what} was answered ${answer.status}: ${answer.text.slice(0, 300)}`);
  return JSON.parse(answer.text);
}

async function call(ctx: AccountsContext, out: Outgoing, status: number): Promise<unknown> {
  const { deadline, signal } = ctx;
  const answer = await sendUntilAnswered(ctx.client, ctx.origin, out, { deadline, ...(signal ? { signal } : {}) });
  return expectStatus(answer, status, `${out.method} ${out.path}`);
}

interface LoggedIn {
  user: { id: string; timezone: string };
  organization: { id: string; settings?: { minimumBlurLevel?: number } };
  accessToken: string;
}

const minimumOf = ({ organization }: Pick<LoggedIn, 'organization'>): number =>
  organization.settings?.minimumBlurLevel ?? 0;

export interface Wanted {
  email: string;
  password: string;
  name: string;
  organizationName: string;
  timezone: string;
  devices: readonly string[];
  /** To be set for the organisation. */
  minimumBlurLevel?: number;
}

/** Registers an organisation with its admin and makes an agent key for each device. */
async function register(ctx: AccountsContext, wanted: Wanted): Promise<Account> {
  const { email, password, name, organizationName, timezone } = wanted;
  const options = { deadline: ctx.deadline, ...(ctx.signal ? { signal: ctx.signal } : {}) };
  const body = { email, password, name, organizationName, timezone };
  const out = outgoing('/api/v1/auth/register', body);
  const answer = await sendUntilAnswered(ctx.client, ctx.origin, out, options);
  // A registration whose answer was lost and that is asked again finds its own address taken.
  const taken = answer.status === 409 && answer.text.includes('EMAIL_TAKEN');
  const loggedIn = (
    taken
      ? await call(ctx, outgoing('/api/v1/auth/login', { email, password }), 200)
      : expectStatus(answer, 201, 'POST /api/v1/auth/register')
  ) as LoggedIn;
  const { minimumBlurLevel } = wanted;
  if (minimumBlurLevel !== undefined) {
    const settings = { settings: { minimumBlurLevel } };
    await call(ctx, outgoing('/api/v1/organization', settings, loggedIn.accessToken, 'PATCH'), 200);
  }
  const devices: Device[] = [];
  for (const deviceId of wanted.devices) {
    const request = outgoing('/api/v1/auth/agent-keys', { name: `fleet ${deviceId}`, deviceId }, loggedIn.accessToken);
    const made = (await call(ctx, request, 201)) as { key: string; deviceId: string };
    devices.push({ deviceId: made.deviceId, agentKey: made.key });
  }
  return {
    login: { email, password },
    userId: loggedIn.user.id,
    organizationId: loggedIn.organization.id,
    timezone,
    devices,
    minimumBlurLevel: minimumBlurLevel ?? minimumOf(loggedIn),
    bearer: loggedIn.accessToken,
  };
}

export const registerAccounts = (ctx: AccountsContext, wanted: readonly Wanted[]): Promise<Account[]> =>
  inParallel(wanted, parallelRegistrations, (each) => register(ctx, each));

/**
 * Users of given agent keys. A key does not tell its device, so each gets a device of the fleet's naming, which its
 * agent puts into every ping.
 */
export async function accountsOfKeys(ctx: AccountsContext, keys: readonly string[]): Promise<Account[]> {
  const accounts = new Map<string, Account>();
  await inParallel(keys, parallelRegistrations, async (agentKey) => {
    const me = (await call(ctx, outgoing('/api/v1/auth/me', undefined, agentKey), 200)) as Omit<
      LoggedIn,
      'accessToken'
    >;
    const known = accounts.get(me.user.id);
    const account: Account = known ?? {
      userId: me.user.id,
      organizationId: me.organization.id,
      timezone: me.user.timezone,
      devices: [],
      minimumBlurLevel: minimumOf(me),
      bearer: agentKey,
    };
    accounts.set(me.user.id, account);
    account.devices.push({ deviceId: `fleet-${account.devices.length + 1}`, agentKey });
  });
  return [...accounts.values()];
}
