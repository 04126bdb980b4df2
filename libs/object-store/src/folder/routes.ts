import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { AppError, forbidden, invalid, notFound, type RawRoute } from '@worktide/runtime';
import { z } from 'zod';
import type { ByteRange, MakeRoutes } from '../driver.ts';
import type { ObjectStoreOptions } from '../types.ts';
import { type Grant, pathPrefix, type Signer } from './signature.ts';

const wholePath = `${pathPrefix}*key`;
const spec = {
  path: wholePath,
  tag: 'objects',
  access: 'public',
  params: z.object({ key: z.string() }),
} as const;
const refusals = { 403: 'The link is not for this, is not ours or has expired.' };

/** What a browser shows by itself without running anything; all else is only saved. */
const shown = /^image\/(jpeg|png|webp|avif|gif)$/;

/** Serves signed URLs: S3's part of the work, where a folder is the store. */
export const createRoutes = (
  store: Parameters<MakeRoutes>[0],
  signer: Signer,
  { admit = () => () => {}, readGraceMs = 10_000 }: Pick<ObjectStoreOptions, 'admit' | 'readGraceMs'>,
): RawRoute[] => [
  {
    spec: {
      ...spec,
      method: 'get',
      operationId: 'getObject',
      summary: 'A stored object, by a signed link',
      description: 'The link is given out by other operations. Takes `Range` with one range.',
      responses: { 200: { description: 'The object.' }, 206: { description: 'The part that was asked for.' } },
      alsoAnswers: { ...refusals, 416: 'The range lies outside of the object.' },
    },
    async handle(req, res) {
      const grant = grantOf('GET', req, signer);
      res.once('close', admit({ method: 'GET', key: grant.key, giveUp: () => end(res) }));
      const found = await store.get(grant.key, (size) => rangeOf(req.headers.range, size, res));
      if (!found) throw notFound();
      const { body, size, range } = found;
      const remaining = Math.max(0, grant.expires - Math.ceil(Date.now() / 1_000));
      res.writeHead(range ? 206 : 200, {
        'content-type': found.contentType,
        'content-length': range ? range.end - range.start + 1 : size,
        ...(range ? { 'content-range': `bytes ${range.start}-${range.end}/${size}` } : {}),
        'accept-ranges': 'bytes',
        etag: `"${found.etag}"`,
        'cache-control': `private, max-age=${remaining}`,
        // It comes from our own origin, so nothing in it may run as a page of ours.
        'content-disposition': dispositionOf(grant, found.contentType),
        'content-security-policy': "default-src 'none'; sandbox",
        'x-content-type-options': 'nosniff',
        'cross-origin-resource-policy': 'cross-origin',
        'referrer-policy': 'no-referrer',
      });
      const unwatch = endWhereTooSlow(res, readGraceMs);
      try {
        await pipeline(body, res);
      } catch (error) {
        // Where the client was gone before it began, the pipeline leaves what it was to read from open.
        body.destroy();
        // Ours to tell where the store broke off; a client that went away is nothing.
        if (error instanceof AppError) throw error;
      } finally {
        unwatch();
      }
    },
  },
  {
    spec: {
      ...spec,
      method: 'put',
      operationId: 'putObject',
      summary: 'Store an object, by a signed link',
      description: 'The link is given out by other operations, with the headers to send: size and type are part of it.',
      responses: { 200: { description: 'It is stored.', headers: { ETag: 'Of the object.' } } },
      alsoAnswers: { ...refusals, 400: 'Another size or type than the link is for.' },
    },
    async handle(req, res) {
      let done = (): void => {};
      try {
        const { key, size, contentType } = grantOf('PUT', req, signer);
        if (size === undefined || contentType === undefined) throw linkInvalid();
        if (req.headers['content-length'] !== String(size)) {
          throw invalid('OBJECT_SIZE_MISMATCH', 'The link is for a body of another size.');
        }
        if (req.headers['content-type'] !== contentType) {
          throw invalid('OBJECT_TYPE_MISMATCH', 'The link is for a body of another type.');
        }
        done = admit({ method: 'PUT', key, size, giveUp: (error) => !req.complete && end(req, error) });
        const { etag } = await store.put(key, req, { contentType, size });
        res.writeHead(200, { etag: `"${etag}"`, 'content-length': 0 }).end();
      } catch (error) {
        // Whoever sent it has gone and hears no answer; nothing was stored.
        if (req.destroyed && !req.complete && res.destroyed) return;
        // What is on its way is not read, so the connection can not be kept.
        if (!req.complete && !res.headersSent) res.setHeader('connection', 'close');
        throw error;
      } finally {
        done();
      }
    },
  },
];

/** The name was signed with the rest, so it is as the store let it be. */
function dispositionOf({ fileName }: Grant, contentType: string): string {
  if (fileName !== undefined) return `attachment; filename="${fileName}"`;
  return shown.test(contentType) ? 'inline' : 'attachment';
}

/** Bytes a second at which an object has to be read, as bodies have to come. */
const minReadRate = 1_024;

/** Ends an answer that is read more slowly than that, over each such time: it holds an open file. */
function endWhereTooSlow(res: ServerResponse, graceMs: number): () => void {
  let before = res.socket?.bytesWritten ?? 0;
  const timer = setInterval(() => {
    const now = res.socket?.bytesWritten ?? 0;
    if (now - before < (minReadRate * graceMs) / 1_000) res.destroy();
    before = now;
  }, graceMs);
  return () => clearInterval(timer);
}

function end(stream: IncomingMessage | ServerResponse, error?: Error): boolean {
  if (stream.destroyed) return false;
  stream.destroy(error);
  return true;
}

const linkInvalid = (): AppError => forbidden('This link is not valid.', 'LINK_INVALID');

function grantOf(method: Grant['method'], req: IncomingMessage, signer: Signer): Grant {
  const [path = '', query = ''] = (req.url ?? '').split('?', 2);
  let key: string;
  try {
    key = decodeURIComponent(path.slice(pathPrefix.length));
  } catch {
    throw linkInvalid();
  }
  return signer.verify(method, key, new URLSearchParams(query));
}

/** The one range of the header; undefined (the whole) where there is none, several or another unit. */
function rangeOf(header: string | undefined, size: number, res: ServerResponse): ByteRange | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '');
  if (!match || (match[1] === '' && match[2] === '')) return undefined;
  const [from, to] = [match[1], match[2]];
  const start = from === '' ? Math.max(0, size - Number(to)) : Number(from);
  const end = from === '' || to === '' ? size - 1 : Math.min(Number(to), size - 1);
  if (from !== '' && to !== '' && Number(to) < Number(from)) return undefined;
  if (start >= size || end < start) {
    res.setHeader('content-range', `bytes */${size}`);
    throw new AppError('RANGE_NOT_SATISFIABLE', 'The object has no such part.', { statusCode: 416 });
  }
  return { start, end };
}
