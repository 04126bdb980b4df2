import type { IncomingMessage, ServerResponse } from 'node:http';
import sharp from 'sharp';

/** What becomes of one `POST /sync/screenshots`. */
export type ShotTreatment =
  | 'take'
  /** 429 with Retry-After, nothing stored. */
  | 'refuse'
  /** Stored, and then the connection broken: the agent cannot know. */
  | 'take and break'
  /** Acknowledged without being stored. */
  | 'lose'
  /** Stored twice under one id. */
  | 'double'
  /** Shown as blurred, and sharp. */
  | 'leave sharp'
  /** The picture of somebody else. */
  | 'mix up';

interface Stored {
  id: string;
  userId: string;
  capturedAt: string;
  metadata: unknown;
  status: string;
  failure?: { code: string; message: string };
  blurLevel: number | null;
  width: number | null;
  height: number | null;
  picture?: Buffer;
  thumbnail?: Buffer;
}

type Reply = (res: ServerResponse, status: number, body: unknown, headers?: Record<string, string>) => void;

const pageSize = 3;

/** The screenshots of the fake product: processed as they come, with a blur of the fake's own. */
export function createFakeScreenshots(reply: Reply, treatmentOf: (request: number) => ShotTreatment) {
  const stored: Stored[] = [];
  const minimums = new Map<string, number>();
  let requests = 0;
  const refuse = (res: ServerResponse, status: number, code: string, headers = {}): void =>
    reply(res, status, { statusCode: status, code, message: code, requestId: 'r' }, headers);

  async function process(
    file: Buffer,
    level: number,
  ): Promise<Pick<Stored, 'status' | 'blurLevel' | 'width' | 'height'>> {
    const failed = (code: string) => ({
      ...{ status: 'failed', blurLevel: null, width: null, height: null },
      failure: { code, message: code },
    });
    try {
      const { width, height } = await sharp(file, { limitInputPixels: false }).metadata();
      if (width * height > 50_000_000) return failed('TOO_MANY_PIXELS');
      const small = await sharp(file, { failOn: 'error' })
        .resize({ width: level >= 2 ? Math.round(width / 24) : width })
        .png({ compressionLevel: 1 })
        .toBuffer();
      const picture = await sharp(small)
        .resize({ width, height, fit: 'fill', kernel: 'linear' })
        .jpeg({ quality: 90 })
        .toBuffer();
      const thumbnail = await sharp(picture).resize({ width: 640, withoutEnlargement: true }).jpeg().toBuffer();
      return { status: 'ready', blurLevel: level, width, height, ...{ picture, thumbnail } };
    } catch {
      return failed('CORRUPT');
    }
  }

  async function take(req: IncomingMessage, body: Buffer, res: ServerResponse, userId: string): Promise<void> {
    const treatment = treatmentOf(requests++);
    if (treatment === 'refuse') return refuse(res, 429, 'TOO_MANY_REQUESTS', { 'retry-after': '1' });
    const headers = { 'content-type': req.headers['content-type'] ?? '' };
    const form = await new Response(new Uint8Array(body), { headers }).formData();
    const text = (name: string): string => String(form.get(name) ?? '');
    const file = Buffer.from(await (form.get('file') as File).arrayBuffer());
    const id = text('screenshotId');
    if (!/^[0-9a-f-]{36}$/.test(id) || !/^[0-3]?$/.test(text('blurLevel')))
      return refuse(res, 400, 'VALIDATION_FAILED');
    const capturedAt = text('capturedAt');
    if (Date.parse(capturedAt) < Date.now() - 90 * 86_400_000) return refuse(res, 400, 'CAPTURED_TOO_LONG_AGO');
    if (file.length === 0) return refuse(res, 400, 'EMPTY_FILE');
    if (file[0] !== 0xff && file[0] !== 0x89) return refuse(res, 415, 'UNSUPPORTED_PICTURE');
    if (treatment !== 'lose' && !stored.some((s) => s.id === id)) {
      const level = Math.max(Number(text('blurLevel') || 0), minimums.get(userId) ?? 0);
      const known = { id, userId, capturedAt, metadata: JSON.parse(text('metadata')) as unknown };
      const row: Stored = { ...known, ...(await process(file, level)) };
      if (row.picture && treatment === 'leave sharp') row.picture = file;
      if (row.picture && treatment === 'mix up') row.picture = await sharp(row.picture).negate().jpeg().toBuffer();
      stored.push(row);
      if (treatment === 'double') stored.push(row);
    }
    if (treatment === 'take and break') return void req.socket.destroy();
    reply(res, 202, { screenshotId: id });
  }

  function list(url: URL, res: ServerResponse, organizationId: string): void {
    const own = stored.filter((s) => s.userId === url.searchParams.get('userId'));
    own.sort((a, b) => b.capturedAt.localeCompare(a.capturedAt));
    const from = Number(url.searchParams.get('cursor') ?? 0);
    const items = own.slice(from, from + pageSize).map(({ picture, thumbnail, ...shown }) => ({
      ...shown,
      timeEntryId: null,
      url: picture ? `/objects/screenshots/${organizationId}/day/${shown.id}?signature=s` : null,
      thumbnailUrl: thumbnail ? `/objects/screenshots/${organizationId}/day/${shown.id}-thumbnail?signature=s` : null,
    }));
    reply(res, 200, { items, nextCursor: from + pageSize < own.length ? String(from + pageSize) : null });
  }

  function deliver(url: URL, res: ServerResponse): void {
    const name = url.pathname.split('/').at(-1)!;
    const row = stored.find((s) => name.startsWith(s.id));
    const bytes = name.endsWith('-thumbnail') ? row?.thumbnail : row?.picture;
    if (!bytes || !url.search) return void res.writeHead(403).end();
    res.writeHead(200, { 'content-type': 'image/jpeg' }).end(bytes);
  }

  return {
    take,
    list,
    deliver,
    setMinimum: (userId: string, level: number): void => void minimums.set(userId, level),
  };
}
