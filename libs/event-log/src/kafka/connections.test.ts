import { once } from 'node:events';
import net from 'node:net';
import { expect, test } from '@jest/globals';
import { silentLogger } from '@worktide/runtime';
import { createKafka } from './client.ts';
import { createClient, createSeeds } from './connections.ts';

test('a client that was cut waits for nobody, leaves no connection and makes none', async () => {
  // As a broker that hangs: it accepts and never answers.
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const day = 24 * 3_600_000;
  const { kafka, cut } = createClient((socketFactory) =>
    createKafka(
      [`127.0.0.1:${port}`],
      { clientId: 'test', log: silentLogger() },
      { retries: 0, maxRetryTime: 100 },
      { connectionTimeout: day, requestTimeout: day, socketFactory },
    ),
  );
  const connecting = kafka.admin().connect();
  connecting.catch(() => {});
  const [socket] = (await once(server, 'connection')) as [net.Socket];
  const closed = once(socket.resume(), 'close');
  await once(socket, 'data');
  cut();
  await expect(connecting).rejects.toThrow();
  await closed;
  await expect(kafka.admin().connect()).rejects.toThrow('given up');
  await new Promise((resolve) => server.close(resolve));
});

test('a client begins with a broker that answers, however many hang or are away', async () => {
  const never = new Promise<void>(() => {});
  const answers = new Map([
    ['hangs', never],
    ['away', Promise.reject(new Error('away'))],
    ['answers', Promise.resolve()],
  ]);
  const seeds = createSeeds([...answers.keys()], (broker) => answers.get(broker)!);
  expect(await seeds()).toEqual(['answers']);
  expect(await createSeeds(['hangs'], () => never)()).toEqual(['hangs']);
});

test('where none answers, they take turns', async () => {
  const seeds = createSeeds(['a', 'b'], () => Promise.reject(new Error('away')));
  expect([await seeds(), await seeds(), await seeds()].flat().sort()).toHaveLength(3);
  expect(new Set([...(await seeds()), ...(await seeds())])).toEqual(new Set(['a', 'b']));
});
