import { randomBytes } from 'node:crypto';
import { uuidv7 } from '@worktide/runtime';
import { call, expectStatus } from '@worktide/testing';
import { tokenTo } from './mail.ts';
import type { Product } from './product.ts';

/** A registered admin with an organisation of their own. */
export interface Person {
  email: string;
  password: string;
  userId: string;
  organizationId: string;
  accessToken: string;
}

export const passwordOfAll = 'correct horse battery';

/** @param marker part of every name that the person brings, to be looked for where it must not appear. */
export async function register(
  origin: string,
  marker = randomBytes(4).toString('hex'),
  timezone = 'UTC',
): Promise<Person> {
  const email = `${marker}@example.com`;
  const body = { email, password: passwordOfAll, name: `Name ${marker}`, organizationName: `Org ${marker}`, timezone };
  const made = expectStatus(await call(origin, 'post', '/api/v1/auth/register', { body }), 201);
  return {
    email,
    password: passwordOfAll,
    userId: made.user.id,
    organizationId: made.organization.id,
    accessToken: made.accessToken,
  };
}

/** A colleague who was invited and has accepted. */
export async function invite(
  product: Pick<Product, 'url' | 'data'>,
  admin: Person,
  role: 'admin' | 'manager' | 'employee',
  marker = randomBytes(4).toString('hex'),
): Promise<Person> {
  const email = `${marker}@example.com`;
  const invitation = { bearer: admin.accessToken, body: { email, role } };
  expectStatus(await call(product.url, 'post', '/api/v1/invitations', invitation), 201);
  const body = { token: await tokenTo(product, email), name: `Name ${marker}`, password: passwordOfAll };
  const made = expectStatus(await call(product.url, 'post', '/api/v1/invitations/accept', { body }), 201);
  return {
    email,
    password: passwordOfAll,
    userId: made.user.id,
    organizationId: made.organization.id,
    accessToken: made.accessToken,
  };
}

export interface AgentKey {
  id: string;
  key: string;
  deviceId: string;
}

export async function makeAgentKey(origin: string, person: Person, deviceId?: string): Promise<AgentKey> {
  const body = { name: deviceId ?? 'laptop', ...(deviceId === undefined ? {} : { deviceId }) };
  const options = { bearer: person.accessToken, body };
  return expectStatus(await call(origin, 'post', '/api/v1/auth/agent-keys', options), 201);
}

export interface PingLike {
  id: string;
  startedAt: string;
  endedAt: string;
  app: string;
  [field: string]: unknown;
}

/** Noon of yesterday, UTC: whole minutes around it lie in one day, within every limit, whenever the tests run. */
export const yesterdayNoon = (): number => Math.floor(Date.now() / 86_400_000) * 86_400_000 - 43_200_000;

interface PingOptions {
  /** Epoch ms; noon of yesterday unless said. */
  at?: number;
  seconds?: number;
  [field: string]: unknown;
}

export function ping(app: string, { at = yesterdayNoon(), seconds = 60, ...fields }: PingOptions = {}): PingLike {
  const iso = (ms: number): string => new Date(ms).toISOString();
  return { id: uuidv7(), startedAt: iso(at), endedAt: iso(at + seconds * 1000), app, ...fields };
}

/** Posts pings and expects all to be taken. */
export async function post(origin: string, bearer: string, pings: PingLike | PingLike[]): Promise<void> {
  const answer = expectStatus(await call(origin, 'post', '/api/v1/pings', { bearer, body: pings }), 202);
  if (answer.rejected.length > 0) throw new Error(`rejected: ${JSON.stringify(answer.rejected)}`);
}

export interface UsageItem {
  id: string;
  userId: string;
  deviceId: string;
  app: string;
  host: string | null;
  source: string;
  state: 'active' | 'idle';
  startedAt: string;
  endedAt: string;
  seconds: number;
}

/** All usage entries of the last hundred days and the next one. */
export async function usageOf(origin: string, bearer: string): Promise<UsageItem[]> {
  const day = 86_400_000;
  const items: UsageItem[] = [];
  const query = new URLSearchParams({
    from: new Date(Date.now() - 100 * day).toISOString(),
    to: new Date(Date.now() + day).toISOString(),
    limit: '500',
  });
  for (;;) {
    const page = expectStatus(await call(origin, 'get', `/api/v1/usage?${query}`, { bearer }), 200);
    items.push(...page.items);
    if (page.nextCursor === null) return items;
    query.set('cursor', page.nextCursor);
  }
}

/** Seconds by app in `/reports/apps` of yesterday, where the pings above lie. */
export async function appsReport(origin: string, bearer: string): Promise<Record<string, number>> {
  const date = new Date(yesterdayNoon()).toISOString().slice(0, 10);
  const path = `/api/v1/reports/apps?date=${date}&timezone=UTC`;
  const report = expectStatus(await call(origin, 'get', path, { bearer }), 200);
  return Object.fromEntries(report.items.map((item: { app: string; seconds: number }) => [item.app, item.seconds]));
}
