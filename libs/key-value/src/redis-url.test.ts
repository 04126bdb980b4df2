import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createServer } from 'node:tls';
import { expect, test } from '@jest/globals';
import { makeAuthority } from '@worktide/backends';
import { createMetrics, silentLogger } from '@worktide/runtime';
import { openKeyValue, openLimits } from './index.ts';

const options = { log: silentLogger(), metrics: createMetrics() };

test.each([
  'redis://',
  'redis://u:hush@',
  'redis://u:hush@host:99999',
  'rediss://u:hush/hush@host:1',
  'rediss://host:1?password=hush',
])('%s is a bad configuration, and is not repeated', (url) => {
  for (const open of [() => openKeyValue(url, options), () => openLimits(url, options)]) {
    expect(open).toThrow(expect.objectContaining({ code: 'BAD_CONFIGURATION' }));
    expect(open).toThrow(expect.not.objectContaining({ message: expect.stringContaining('hush') }));
    expect(open).toThrow(expect.not.objectContaining({ input: expect.anything() }));
  }
});

test('rediss tells the server the name by which it calls it', async () => {
  const dir = await mkdtemp(path.join(tmpdir(), 'worktide-redis-url-'));
  const { cert, key } = await (await makeAuthority(dir)).issue('redis', ['DNS:localhost']);
  const names: string[] = [];
  const server = createServer({
    cert: await readFile(cert),
    key: await readFile(key),
    SNICallback(name, done) {
      names.push(name);
      done(null);
    },
  });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const store = openKeyValue(`rediss://localhost:${(server.address() as AddressInfo).port}`, options);
  await expect(store.check()).rejects.toMatchObject({ statusCode: 503 });
  expect(names[0]).toBe('localhost');
  await store.close();
  server.close();
  await rm(dir, { recursive: true });
});
