import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { backend } from '@worktide/backends';
import { type StubAuth, startStubAuth } from '@worktide/testing';
import { runToEnd } from './support/processes.ts';
import { repository } from './support/product.ts';

let auth: StubAuth;
let engines: Record<string, string>;
beforeAll(async () => {
  auth = await startStubAuth();
  engines = {
    POSTGRES_URL: await backend('postgres'),
    EVENT_LOG_URL: await backend('kafka'),
    KEY_VALUE_URL: await backend('redis'),
    OBJECT_STORE_URL: await backend('s3'),
    SCHEMA_REGISTRY_URL: await backend('registry'),
    AUTH_URL: auth.url,
    INTERNAL_TOKEN: 'internal-token-of-tests-0123456789abcdef',
  };
}, 120_000);
afterAll(() => auth?.close());

const validate = async (service: string, env: Record<string, string>, args = ['--validate']) => {
  const main = path.join(repository, 'services', service, 'src', 'main.ts');
  const { code, output } = await runToEnd(process.execPath, [main, ...args], { env });
  return { code, lines: output.trim().split('\n') };
};

describe('--validate', () => {
  test('reaches every engine that the configuration names, and starts nothing', async () => {
    expect(await validate('screenshot-processor', engines)).toEqual({
      code: 0,
      lines: [
        'configuration: well',
        'POSTGRES_URL: reached',
        'EVENT_LOG_URL: reached',
        'KEY_VALUE_URL: reached',
        'OBJECT_STORE_URL: reached',
        'SCHEMA_REGISTRY_URL: reached',
        'AUTH_URL: reached',
      ],
    });
    const clickhouse = { ...engines, CLICKHOUSE_URL: await backend('clickhouse') };
    expect((await validate('analytics', clickhouse)).lines).toContain('CLICKHOUSE_URL: reached');
  }, 60_000);

  test('names each that is not reached, without its password, and exits 1', async () => {
    const away = {
      ...engines,
      POSTGRES_URL: 'postgres://somebody:secret-of-it@127.0.0.1:9/none',
      EVENT_LOG_URL: 'kafka://127.0.0.1:9',
      KEY_VALUE_URL: 'redis://:secret-of-it@127.0.0.1:9',
      OBJECT_STORE_URL: 's3://key:secret-of-it@bucket?endpoint=http://127.0.0.1:9&region=x',
      AUTH_URL: 'http://127.0.0.1:9',
      SCHEMA_REGISTRY_URL: 'local:',
    };
    const { code, lines } = await validate('screenshot-processor', away);
    expect(code).toBe(1);
    expect(lines[0]).toBe('configuration: well');
    expect(lines.filter((line) => line.includes(': not reached: ')).map((line) => line.split(':')[0])).toEqual([
      'POSTGRES_URL',
      'EVENT_LOG_URL',
      'KEY_VALUE_URL',
      'OBJECT_STORE_URL',
      'AUTH_URL',
    ]);
    expect(lines).toContain('SCHEMA_REGISTRY_URL: embedded');
    expect(lines.join('\n')).not.toContain('secret-of-it');
  }, 60_000);

  test('tells every problem of the configuration, and exits 78', async () => {
    const { code, lines } = await validate('session-writer', { POSTGRES_URL: 'mysql://x', LOG_LEVEL: 'loud' });
    expect(code).toBe(78);
    for (const variable of ['POSTGRES_URL', 'EVENT_LOG_URL', 'AUTH_URL', 'INTERNAL_TOKEN', 'LOG_LEVEL']) {
      expect(lines.join('\n')).toContain(`${variable}: `);
    }
  });

  test('another argument is not taken for nothing', async () => {
    const { code, lines } = await validate('auth', engines, ['--valdiate']);
    expect([code, lines[0]]).toEqual([2, expect.stringContaining('[--validate]')]);
  });
});
