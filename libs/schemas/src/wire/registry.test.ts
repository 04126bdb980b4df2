import { randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { SchemaRegistry as ConfluentClient } from '@kafkajs/confluent-schema-registry';
import { backend, freePort } from '@worktide/backends';
import { eventually } from '@worktide/testing';
import { z } from 'zod';
import { topics } from '../topics.ts';
import { changes, original } from './changes.fixture.ts';
import { createCodec } from './codec.ts';
import { canonical, jsonSchemaOf } from './json-schema.ts';
import { openSchemaRegistry, type SchemaRegistry } from './registry.ts';
import { subjectOf } from './subject.ts';

/** The messages of an error and its causes; `fetch` fails with errors of another realm than Jest's. */
function messages(error: unknown): string {
  const { message, cause } = error as { message?: string; cause?: unknown };
  return [message, cause ? messages(cause) : ''].join(': ');
}

const newTopic = (): string => `test-${randomUUID()}`;

describe.each(['local', 'real'])('the %s registry', (kind) => {
  let registry: SchemaRegistry;
  beforeAll(async () => {
    registry = openSchemaRegistry(kind === 'local' ? 'local:' : await backend('registry'));
  });

  test('gives the same id for the same schema, and the schema for the id', async () => {
    const subject = subjectOf(newTopic());
    const schema = jsonSchemaOf(original);
    const id = await registry.register(subject, schema);
    expect(id).toBeGreaterThan(0);
    expect(id).toBeLessThan(2 ** 31);
    expect(await registry.register(subject, schema)).toBe(id);
    expect(canonical(await registry.schemaById(id))).toBe(canonical(schema));
  });

  test('knows no id that was never given', async () => {
    await expect(registry.schemaById(2_000_000_000)).rejects.toMatchObject({ code: 'SCHEMA_UNKNOWN' });
    await expect(registry.schemaById(-1)).rejects.toMatchObject({ code: 'SCHEMA_UNKNOWN' });
  });

  test('is ready', async () => {
    await expect(registry.check()).resolves.toBeUndefined();
  });

  test('takes the schemas of all topics', async () => {
    for (const topic of Object.values(topics)) {
      expect(await registry.register(subjectOf(topic.name), jsonSchemaOf(topic.schema))).toBeGreaterThan(0);
    }
  });

  test.each(changes)('judges a change: $name', async ({ schema, refused }) => {
    const subject = subjectOf(newTopic());
    const first = await registry.register(subject, jsonSchemaOf(original));
    const second = registry.register(subject, jsonSchemaOf(schema));
    if (refused === undefined) expect(await second).toBeGreaterThan(0);
    else {
      await expect(second).rejects.toMatchObject({ code: 'SCHEMA_INCOMPATIBLE', statusCode: 409 });
      // What was there is untouched.
      expect(await registry.register(subject, jsonSchemaOf(original))).toBe(first);
    }
  });

  test('several processes that register the same first schema at once agree', async () => {
    const subject = subjectOf(newTopic());
    const ids = await Promise.all([1, 2, 3].map(() => registry.register(subject, jsonSchemaOf(original))));
    expect(new Set(ids).size).toBe(1);
  });

  test('an older record is read after a compatible change, a newer one before it', async () => {
    const name = newTopic();
    const older = createCodec(registry, { name, schema: z.object({ a: z.string() }) });
    const newer = createCodec(registry, { name, schema: z.object({ a: z.string(), b: z.int().optional() }) });
    await older.prepare();
    await newer.prepare();
    const read = async (codec: typeof older, buffer: Buffer): Promise<unknown> => {
      // The first sight of the other's id says: try again.
      const first = (() => {
        try {
          return codec.decode(buffer);
        } catch (error) {
          return (error as { code: string }).code;
        }
      })();
      expect(first).toBe('DEPENDENCY_UNAVAILABLE');
      const deadline = Date.now() + 5_000;
      for (;;) {
        try {
          return codec.decode(buffer);
        } catch (error) {
          if ((error as { code: string }).code !== 'DEPENDENCY_UNAVAILABLE' || Date.now() > deadline) throw error;
          await new Promise((resolve) => setImmediate(resolve));
        }
      }
    };
    expect(await read(newer, older.encode({ a: 'x' }))).toEqual({ a: 'x' });
    expect(await read(older, newer.encode({ a: 'x', b: 1 }))).toEqual({ a: 'x', b: 1 });
    const stranger = Buffer.concat([Buffer.from([0, 0x77, 0x35, 0x94, 0x00]), Buffer.from('{}')]);
    await expect(read(newer, stranger)).rejects.toMatchObject({ code: 'UNDECODABLE' });
  });
});

test('two processes without a server come to the same ids, and know what earlier versions registered', async () => {
  const [one, two] = [openSchemaRegistry('local:'), openSchemaRegistry('local:')];
  const schema = jsonSchemaOf(original);
  expect(await one.register('a-value', schema)).toBe(await two.register('a-value', schema));
  expect(await one.register('b-value', schema)).not.toBe(await one.register('a-value', schema));
  const pings = await one.register(subjectOf('pings'), jsonSchemaOf(topics.pings.schema));
  expect(canonical(await openSchemaRegistry('local:').schemaById(pings))).toBe(
    canonical(jsonSchemaOf(topics.pings.schema)),
  );
});

test.each(['ftp://x', 'https://user:hush@host:99999'])('%s is a bad configuration, and is not repeated', (url) => {
  const open = () => openSchemaRegistry(url);
  expect(open).toThrow(expect.objectContaining({ code: 'BAD_CONFIGURATION' }));
  expect(open).toThrow(expect.not.objectContaining({ input: expect.anything() }));
});

describe('the real registry as others see it', () => {
  test("our bytes are read by Confluent's client, and its bytes by us", async () => {
    const url = await backend('registry');
    const codec = createCodec(openSchemaRegistry(url), { name: newTopic(), schema: original });
    await codec.prepare();
    const client = new ConfluentClient({ host: url });
    const value = { id: 'ä', count: 1, state: 'idle', list: [{ x: '€' }], host: null };
    const bytes = codec.encode(value);
    expect(await client.decode(bytes)).toEqual(value);
    expect(codec.decode(await client.encode(bytes.readInt32BE(1), value))).toEqual(value);
  });

  test('a subject that was left without a rule gets one, a stricter one is kept', async () => {
    const url = await backend('registry');
    const registry = openSchemaRegistry(url);
    const call = async (method: string, path: string, body?: unknown): Promise<Record<string, unknown>> => {
      const headers = { 'content-type': 'application/vnd.schemaregistry.v1+json' };
      const response = await fetch(`${url}${path}`, {
        method,
        headers,
        ...(body ? { body: JSON.stringify(body) } : {}),
      });
      expect(response.status).toBe(200);
      return (await response.json()) as Record<string, unknown>;
    };
    const left = subjectOf(newTopic());
    const schema = JSON.stringify(jsonSchemaOf(original));
    await call('POST', `/subjects/${left}/versions`, { schemaType: 'JSON', schema });
    await registry.register(left, jsonSchemaOf(original));
    expect(await call('GET', `/config/${left}`)).toEqual({ compatibilityLevel: 'BACKWARD' });

    const strict = subjectOf(newTopic());
    await call('PUT', `/config/${strict}`, { compatibility: 'FULL' });
    await registry.register(strict, jsonSchemaOf(original));
    expect(await call('GET', `/config/${strict}`)).toEqual({ compatibilityLevel: 'FULL' });
  });
});

describe('a registry that fails', () => {
  let silent: Server;
  let silentUrl: string;
  let failing: Server;
  let failingUrl: string;
  let downUrl: string;
  const listen = async (server: Server): Promise<string> => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  beforeAll(async () => {
    downUrl = `http://127.0.0.1:${await freePort()}`;
    silent = createServer(() => {});
    silentUrl = await listen(silent);
    failing = createServer((_request, response) => response.writeHead(500).end('{"message":"no database"}'));
    failingUrl = await listen(failing);
  });
  afterAll(() => {
    for (const server of [silent, failing]) {
      server.closeAllConnections();
      server.close();
    }
  });

  const cases = () =>
    [
      ['is down', downUrl, /ECONNREFUSED/],
      ['does not answer', silentUrl, /timeout|timed out|aborted/i],
      ['answers 500', failingUrl, /500/],
    ] as const;
  test.each([0, 1, 2])('every call ends soon and says that it is unavailable (%#)', async (i) => {
    const [, url, cause] = cases()[i]!;
    const registry = openSchemaRegistry(url, { requestTimeoutMs: 200 });
    for (const call of [
      () => registry.register('a-value', jsonSchemaOf(original)),
      () => registry.schemaById(1),
      () => registry.check(),
    ]) {
      const error = await call().then(
        () => undefined,
        (e: unknown) => e,
      );
      expect(error).toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE', statusCode: 503 });
      expect(messages(error)).toContain('(schema registry)');
      expect(messages(error)).toMatch(cause);
    }
  });

  test('the codec encodes nothing before its schema is registered, and tries again when asked to', async () => {
    let down = true;
    const local = openSchemaRegistry('local:');
    const registry: SchemaRegistry = {
      ...local,
      register: (subject, schema) => (down ? openSchemaRegistry(downUrl) : local).register(subject, schema),
    };
    const codec = createCodec(registry, { name: newTopic(), schema: original });
    await expect(codec.prepare()).rejects.toMatchObject({ code: 'DEPENDENCY_UNAVAILABLE' });
    expect(() => codec.encode({})).toThrow(expect.objectContaining({ code: 'DEPENDENCY_UNAVAILABLE' }));
    down = false;
    await codec.prepare();
    expect(codec.decode(codec.encode({ a: 1 }))).toEqual({ a: 1 });
  });

  test('a record of an unknown schema waits while the registry is away and is read when it is back', async () => {
    let down = true;
    const local = openSchemaRegistry('local:');
    const registry: SchemaRegistry = {
      ...local,
      schemaById: (id) => (down ? openSchemaRegistry(downUrl) : local).schemaById(id),
    };
    const name = newTopic();
    const writer = createCodec(local, { name, schema: z.object({ a: z.string() }) });
    const reader = createCodec(registry, { name, schema: z.object({ a: z.string(), b: z.int().optional() }) });
    await writer.prepare();
    await reader.prepare();
    const bytes = writer.encode({ a: 'x' });
    const attempt = (): unknown => {
      try {
        return reader.decode(bytes);
      } catch (error) {
        return messages(error);
      }
    };
    const comesTo = (pattern: RegExp) => eventually(() => expect(JSON.stringify(attempt())).toMatch(pattern));
    await comesTo(/asking for schema/);
    await comesTo(/ECONNREFUSED/);
    down = false;
    await comesTo(/^\{"a":"x"\}$/);
  });
});
