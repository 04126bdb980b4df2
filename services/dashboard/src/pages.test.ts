import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createLifecycle, createMetrics, loadConfig, serve, silentLogger } from '@worktide/runtime';
import { configSchema, run } from './index.ts';

const log = silentLogger();
const lifecycle = createLifecycle({ log });
const metrics = createMetrics();
const page = '<meta property="csp-nonce" nonce="__NONCE__"><script type="module" src="/assets/a-1.js"></script>';
const script = 'export const a = 1;\n'.repeat(100);
let folder: string;
let url: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'dashboard-'));
  await mkdir(path.join(folder, 'assets'));
  await writeFile(path.join(folder, 'index.html'), page);
  await writeFile(path.join(folder, 'assets', 'a-1.js'), script);
  await writeFile(path.join(folder, 'manifest.json'), '{}');
  const config = loadConfig(configSchema, {
    DASHBOARD_FILES: folder,
    DASHBOARD_IMAGE_ORIGINS: 'https://files.example.com',
  });
  const service = await run(config, { lifecycle, log, metrics });
  ({ url } = await serve({ services: [service], lifecycle, log, metrics, host: '127.0.0.1', port: 0 }));
});
afterAll(async () => {
  await lifecycle.close();
  await rm(folder, { recursive: true, force: true });
});

const get = (at: string, headers: Record<string, string> = { accept: 'text/html,*/*' }, method = 'GET') =>
  fetch(`${url}${at}`, { headers, method, redirect: 'manual' });

describe('pages', () => {
  test('every path that a browser goes to is the application, with a nonce that no other answer has', async () => {
    const nonces = new Set<string>();
    for (const at of ['/', '/reports/days?from=2026-11-01', '/tasks/1', '/login']) {
      const answer = await get(at);
      expect(answer.status).toBe(200);
      expect(answer.headers.get('cache-control')).toBe('no-store');
      const policy = answer.headers.get('content-security-policy')!;
      const [, nonce] = /'nonce-([^']+)'/.exec(policy)!;
      nonces.add(nonce!);
      expect(await answer.text()).toBe(page.replace('__NONCE__', nonce!));
      expect(policy.split('; ')).toEqual(
        expect.arrayContaining([
          "default-src 'none'",
          "script-src 'self'",
          `style-src 'self' 'nonce-${nonce}'`,
          "img-src 'self' data: https://files.example.com",
          "frame-ancestors 'none'",
          "require-trusted-types-for 'script'",
        ]),
      );
      expect(policy).not.toContain('unsafe');
    }
    expect(nonces.size).toBe(4);
  });

  test('what is no page is 404 as before: paths of the interface, programs, other methods', async () => {
    for (const at of [
      '/api/v1/none',
      '/metrics',
      '/internal/x',
      '/objects/x',
      '/.well-known/x',
      '/agent/x',
      '/assets/none.js',
    ]) {
      const answer = await get(at);
      expect(`${at} ${answer.status}`).toBe(`${at} 404`);
      expect(await answer.json()).toMatchObject({ code: 'NOT_FOUND' });
    }
    expect((await get('/tasks', { accept: 'application/json' })).status).toBe(404);
    expect((await get('/tasks', undefined, 'POST')).status).toBe(404);
    expect((await get('/manifest.json')).headers.get('content-type')).toContain('text/html');
  });

  test('files last for ever, are zipped for who takes that, and none outside the folder is one', async () => {
    const answer = await get('/assets/a-1.js', { 'accept-encoding': 'gzip' });
    expect(answer.headers.get('content-encoding')).toBe('gzip');
    expect(answer.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    expect(answer.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
    expect(await answer.text()).toBe(script);
    const plain = await get('/assets/a-1.js', { 'accept-encoding': 'identity' });
    expect(plain.headers.get('content-encoding')).toBeNull();
    expect(await plain.text()).toBe(script);
    expect((await get('/assets/%2e%2e/index.html', { accept: '*/*' })).status).toBe(404);
  });

  test('a folder without pages is said at the start', async () => {
    const config = loadConfig(configSchema, { DASHBOARD_FILES: path.join(folder, 'assets') });
    await expect(run(config, { lifecycle, log, metrics })).rejects.toMatchObject({ code: 'DASHBOARD_NOT_BUILT' });
    expect(() => loadConfig(configSchema, { DASHBOARD_IMAGE_ORIGINS: "https://x.example; script-src 'self'" })).toThrow(
      /DASHBOARD_IMAGE_ORIGINS/,
    );
  });
});
