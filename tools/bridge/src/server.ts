import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { hostname } from 'node:os';
import type { Event } from '@worktide/activitywatch';
import { z } from 'zod';
import type { Store } from './store.ts';

export interface ServerOptions {
  store: Store;
  port: number;
  /** Pages and extensions that may send, besides ActivityWatch's own. */
  origins: readonly string[];
  err(line: string): void;
}

const maxBodyBytes = 1_000_000;
const maxEvents = 10_000;

const data = z.record(z.string(), z.unknown());
const event = z
  .object({
    timestamp: z.iso.datetime({ offset: true, local: true }),
    duration: z
      .number()
      .min(0)
      .max(31 * 86_400)
      .default(0),
    data,
  })
  .transform(({ timestamp, duration, data: given }): Event => {
    // Without a zone it is UTC, as for ActivityWatch.
    const startedAt = Date.parse(/[zZ]|[+-]\d\d:?\d\d$/.test(timestamp) ? timestamp : `${timestamp}Z`);
    return { startedAt, endedAt: startedAt + Math.round(duration * 1_000), data: given };
  })
  .refine(({ startedAt }) => startedAt >= 0 && startedAt < 8e14);
const name = z.string().min(1).max(256);
const newBucket = z.object({ client: name, type: name, hostname: name.default(hostname()) });

class Refused extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Extensions of ActivityWatch; Firefox gives each installation an address of its own. */
const ownOrigins = /^(chrome-extension:\/\/nglaklhklhcoonedhgnpgddginnjdadi|moz-extension:\/\/[0-9a-f-]+)$/;

/** Whether a page that a name leads here by a trick is behind it: such a request names another host, or comes from a page. */
export function isLocal(req: IncomingMessage, port: number, origins: readonly string[]): boolean {
  const hosts = [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`];
  if (!hosts.includes((req.headers.host ?? '').toLowerCase())) return false;
  const { origin } = req.headers;
  if (origin === undefined) return true;
  return hosts.some((host) => origin === `http://${host}`) || ownOrigins.test(origin) || origins.includes(origin);
}

/** ActivityWatch for this machine alone: as much of it as watchers need. Listening when it resolves. */
export async function listen(options: ServerOptions): Promise<{ server: Server; port: number }> {
  const { store, err } = options;
  let port = options.port;
  let full = false;

  async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    if (!isLocal(req, port, options.origins)) throw new Refused(403, 'This is for watchers on this machine.');
    const { origin } = req.headers;
    if (origin !== undefined) {
      res.setHeader('access-control-allow-origin', origin);
      res.setHeader('access-control-allow-headers', 'content-type');
      res.setHeader('access-control-allow-methods', 'GET, POST, DELETE');
      res.setHeader('vary', 'origin');
    }
    if (req.method === 'OPTIONS') return void res.writeHead(204).end();
    const { pathname, searchParams } = new URL(req.url ?? '/', 'http://localhost');
    const [, bucketId, rest = ''] = /^\/api\/0\/buckets\/([^/]+)(\/.*)?$/.exec(pathname) ?? [];
    if (pathname === '/api/0/info' && req.method === 'GET') return send(res, 200, info());
    if (/^\/api\/0\/buckets\/?$/.test(pathname) && req.method === 'GET') {
      return send(res, 200, Object.fromEntries(store.buckets().map((bucket) => [bucket.id, bucket])));
    }
    if (bucketId === undefined) throw new Refused(404, 'There is no such thing here.');
    const id = decodeURIComponent(bucketId);
    if (id.length > 256) throw new Refused(400, 'A bucket has a name of 256 characters at most.');
    await ofBucket(id, rest.replace(/\/$/, ''), req, res, searchParams);
  }

  async function ofBucket(id: string, rest: string, req: IncomingMessage, res: ServerResponse, query: URLSearchParams) {
    const asked = `${req.method} ${rest}`;
    if (asked === 'POST ') {
      const made = store.createBucket({ id, ...read(newBucket, await bodyOf(req)), created: new Date().toISOString() });
      return void res.writeHead(made ? 200 : 304).end();
    }
    const bucket = store.bucket(id);
    if (!bucket) throw new Refused(404, 'There is no such bucket.');
    const last = store.lastEvent(id);
    if (asked === 'GET ') return send(res, 200, bucket);
    if (asked === 'DELETE ') return send(res, store.deleteBucket(id) ? 200 : 404, {});
    // What was sent on is Worktide's: only the last event is known here.
    if (asked === 'GET /events') return send(res, 200, last ? [shown(last)] : []);
    if (asked === 'GET /events/count') return send(res, 200, last ? 1 : 0);
    if (asked === 'POST /heartbeat') {
      const pulsetime = Number(query.get('pulsetime'));
      if (!(pulsetime >= 0 && pulsetime <= 86_400)) throw new Refused(400, 'pulsetime is missing.');
      return send(res, 200, shown(store.heartbeat(bucket, read(event, await bodyOf(req)), pulsetime * 1_000)));
    }
    if (asked === 'POST /events') {
      const body = await bodyOf(req);
      store.events(bucket, read(z.array(event).max(maxEvents), Array.isArray(body) ? body : [body]));
      return send(res, 200, null);
    }
    throw new Refused(404, 'There is no such thing here.');
  }

  const server = createServer({ requestTimeout: 30_000 }, (req, res) => {
    answer(req, res).then(
      () => {
        if (full && req.method === 'POST') err('There is room on the disk again.');
        if (req.method === 'POST') full = false;
      },
      (error: unknown) => {
        req.resume();
        if (error instanceof Refused) return send(res, error.status, { message: error.message });
        const noRoom = isFull(error);
        if (!noRoom) err(`A request failed: ${(error as Error).message}`);
        else if (!full)
          err('The disk is full: nothing more is taken until there is room. What was taken before is sent.');
        full ||= noRoom;
        send(res, noRoom ? 507 : 500, { message: noRoom ? 'The disk is full.' : 'This failed.' });
      },
    );
  });
  server.on('clientError', (_, socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, '127.0.0.1', resolve);
  });
  port = (server.address() as { port: number }).port;
  return { server, port };
}

/** SQLITE_FULL, and what systems say where its journal does not fit. */
const isFull = (error: unknown): boolean =>
  (error as { errcode?: number }).errcode === 13 || /full|ENOSPC/i.test((error as Error).message ?? '');

const info = () => ({
  hostname: hostname(),
  version: 'v0.13.2 (worktide-bridge)',
  testing: false,
  device_id: hostname(),
});

const shown = ({ id, startedAt, endedAt, data: given }: Event & { id: number }) => ({
  id,
  timestamp: new Date(startedAt).toISOString(),
  duration: (endedAt - startedAt) / 1_000,
  data: given,
});

function read<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const found = schema.safeParse(value);
  if (!found.success) throw new Refused(400, found.error.issues[0]!.message);
  return found.data;
}

async function bodyOf(req: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of req.iterator({ destroyOnReturn: false })) {
    size += (chunk as Buffer).length;
    if (size > maxBodyBytes) throw new Refused(413, 'The body is too large.');
    chunks.push(chunk as Buffer);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new Refused(400, 'The body is not valid JSON.');
  }
}

function send(res: ServerResponse, status: number, body: unknown): void {
  if (res.headersSent) return void res.destroy();
  res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
