import type { IncomingMessage, ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Outcome } from './engine.ts';
import { errorAnswer } from './errors.ts';
import { nativeFor } from './native.ts';
import type { Work } from './request.ts';

const gzipped = promisify(gzip);

const contentType = (format: string): string => {
  if (/^JSON\w*EachRow/.test(format)) return 'application/x-ndjson; charset=UTF-8';
  if (/^JSON/.test(format)) return 'application/json; charset=UTF-8';
  if (/^(RowBinary|Native|Parquet|Arrow|ORC|Avro|MsgPack|Protobuf)/.test(format)) return 'application/octet-stream';
  return /^(TabSeparated|TSV)/.test(format) ? 'text/tab-separated-values; charset=UTF-8' : 'text/plain; charset=UTF-8';
};

/** What a client of ClickHouse's own protocol says of itself, over HTTP too; 0 where it says nothing. */
const revisionOf = (parameters: URLSearchParams): number => Number(parameters.get('client_protocol_version')) || 0;

export async function send(
  req: IncomingMessage,
  res: ServerResponse,
  parameters: URLSearchParams,
  done: Work & { queryId: string; outcome: Outcome },
): Promise<void> {
  if (res.destroyed) return;
  const { outcome } = done;
  const format = done.format ?? parameters.get('default_format') ?? 'TabSeparated';
  const summary = {
    read_rows: String(outcome.rowsRead),
    read_bytes: String(outcome.bytesRead),
    written_rows: String(done.isInsert ? outcome.rowsRead : 0),
    written_bytes: String(done.isInsert ? outcome.bytesRead : 0),
    total_rows_to_read: '0',
    result_rows: '0',
    result_bytes: String(outcome.bytes.length),
    elapsed_ns: String(Math.round(outcome.elapsedSeconds * 1e9)),
  };
  let body = outcome.bytes;
  const revision = revisionOf(parameters);
  if (format === 'Native' && revision > 0) body = nativeFor(revision, body);
  const compress =
    parameters.get('enable_http_compression') === '1' && /\bgzip\b/.test(String(req.headers['accept-encoding'] ?? ''));
  // Level 1: the wire is loopback, compression only honours what the client asked for.
  if (compress) body = await gzipped(body, { level: 1 });
  res.writeHead(200, {
    'Content-Type': contentType(format),
    'Content-Length': body.length,
    ...(compress ? { 'Content-Encoding': 'gzip' } : {}),
    'X-ClickHouse-Query-Id': done.queryId,
    'X-ClickHouse-Format': format,
    'X-ClickHouse-Timezone': 'UTC',
    'X-ClickHouse-Server-Display-Name': 'chdb',
    'X-ClickHouse-Summary': JSON.stringify(summary),
  });
  res.end(body);
}

/** Answers a failed request in ClickHouse's form; cuts the connection where an answer has begun. */
export function sendError(res: ServerResponse, error: unknown, version: string): void {
  if (res.headersSent || res.destroyed) return void res.destroy();
  const { status, code, text } = errorAnswer(error, version);
  res.writeHead(status, {
    'Content-Type': 'text/plain; charset=UTF-8',
    'X-ClickHouse-Exception-Code': code,
    ...(status === 503 ? { 'Retry-After': '1' } : {}),
    // What is left of the body is not read, so the connection cannot serve another request.
    Connection: 'close',
  });
  res.end(text);
}
