import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { loadConfig } from '@worktide/runtime';
import { configSchema } from './config.ts';

const required = {
  EVENT_LOG_URL: 'kafka://k:9092',
  AUTH_URL: 'http://auth:8080',
  INTERNAL_TOKEN: 'x'.repeat(32),
  OBJECT_STORE_URL: 's3://bucket',
};

test('the public limits are the defaults', () => {
  expect(loadConfig(configSchema, required)).toMatchObject({
    PINGS_MAX_PER_REQUEST: 1_000,
    PINGS_MAX_BODY_BYTES: 1_000_000,
    PINGS_MAX_APP_LENGTH: 256,
    PINGS_MAX_TITLE_LENGTH: 1_024,
    PINGS_MAX_URL_LENGTH: 2_048,
    PINGS_MAX_DURATION_SECONDS: 86_400,
    PINGS_MAX_AGE_DAYS: 90,
    PINGS_MAX_FUTURE_SECONDS: 300,
    SCREENSHOT_MAX_BYTES: 50_000_000,
    UPLOAD_TIMEOUT_SECONDS: 120,
    SYNC_LIMIT_PER_MINUTE: 60,
  });
});

test('quotas: the plans’ own are the defaults, each is configurable, nonsense is told', () => {
  const { QUOTA_FREE, QUOTA_TRIAL, QUOTA_PRO, QUOTA_ENTERPRISE } = loadConfig(configSchema, {
    ...required,
    QUOTA_PRO: '7/8',
  });
  expect([QUOTA_FREE, QUOTA_TRIAL, QUOTA_PRO, QUOTA_ENTERPRISE]).toEqual([
    { perSecond: 100, burst: 10_000 },
    { perSecond: 5_000, burst: 100_000 },
    { perSecond: 7, burst: 8 },
    'unlimited',
  ]);
  for (const bad of ['5', '0/5', '5/', 'many', '1/2/3', '1e3/5', '-1/5']) {
    expect(() => loadConfig(configSchema, { ...required, QUOTA_FREE: bad })).toThrow(/QUOTA_FREE: like 100/);
  }
});

test('limits above what the log takes are refused, with every other problem', () => {
  const env = { ...required, PINGS_MAX_APP_LENGTH: '100000', INTERNAL_TOKEN: 'short' };
  expect(() => loadConfig(configSchema, env)).toThrow(/INTERNAL_TOKEN: .*\n.*PINGS_MAX_APP_LENGTH: /);
});

test.each([
  ['PINGS_MAX_DURATION_SECONDS', 31 * 86_400],
  ['PINGS_MAX_FUTURE_SECONDS', 31 * 86_400],
  ['PINGS_MAX_AGE_DAYS', 50 * 365],
])('%s: what the consumers would refuse cannot be accepted', (name, most) => {
  expect(loadConfig(configSchema, { ...required, [name]: String(most) })).toMatchObject({ [name]: most });
  expect(() => loadConfig(configSchema, { ...required, [name]: String(most + 1) })).toThrow(`${name}: `);
});

test('a bad log level, and a folder without a secret for its links: told with every other problem, and the end is 78', async () => {
  const main = fileURLToPath(new URL('main.ts', import.meta.url));
  const env = { ...process.env, ...required, LOG_LEVEL: 'loud', OBJECT_STORE_URL: 'file:/tmp/x', INTERNAL_TOKEN: 'x' };
  const child = spawn(process.execPath, [main], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  expect(await new Promise((resolve) => child.once('close', resolve))).toBe(78);
  for (const name of ['LOG_LEVEL', 'OBJECT_SIGNING_SECRET', 'INTERNAL_TOKEN']) expect(output).toContain(`${name}: `);
});
