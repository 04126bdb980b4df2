import { createHash, timingSafeEqual } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { readBody, spoolBody } from './body.ts';
import { literal } from './engine.ts';
import { ClickHouseError, errorCodes } from './errors.ts';
import { parseStatement } from './statement.ts';

/** A statement that comes in the body may carry this much text and data; larger data goes beside `?query=`. */
const maxStatementBytes = 16 * 1024 * 1024;

/** As many bytes may a query of an account be that is refused politely. */
const maxAccountBytes = 4 * 1024 * 1024;

/** Credentials are compared by their digests, which have one length. */
export const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Credentials as ClickHouse takes them: headers, Basic authorization, URL parameters; in this order. */
export function credentialsOf(req: IncomingMessage, parameters: URLSearchParams): { user: string; password: string } {
  const header = (name: string): string | undefined => {
    const value = req.headers[name];
    return typeof value === 'string' ? value : undefined;
  };
  const basic = /^Basic (.+)$/i.exec(header('authorization') ?? '')?.[1];
  const [basicUser, basicPassword] = basic ? Buffer.from(basic, 'base64').toString().split(/:(.*)/s) : [];
  return {
    user: header('x-clickhouse-user') ?? basicUser ?? parameters.get('user') ?? 'default',
    password: header('x-clickhouse-key') ?? basicPassword ?? parameters.get('password') ?? '',
  };
}

/** @throws ClickHouseError 516 where they are not those of `default`. */
export function authorize({ user, password }: { user: string; password: string }, secret: Buffer): void {
  if (user === 'default' && timingSafeEqual(digest(password), secret)) return;
  throw new ClickHouseError(
    errorCodes.AUTHENTICATION_FAILED,
    `${user}: Authentication failed: password is incorrect, or there is no user with such name`,
  );
}

/** A query and nothing else: what a request of an account may carry. */
export async function readQuery(req: IncomingMessage, parameters: URLSearchParams): Promise<string> {
  const inUrl = parameters.get('query') ?? '';
  // More than the gate lets through, so that it is the gate that says so.
  const inBody = (await readBody(req, maxAccountBytes)).toString();
  return [inUrl, inBody].filter((text) => text !== '').join('\n');
}

export interface Work {
  sql: string;
  format: string | undefined;
  isWrite: boolean;
  isInsert: boolean;
}

/** The statement for the engine; data of an insert is in the file `spool` afterwards. */
export async function prepare(
  req: IncomingMessage,
  parameters: URLSearchParams,
  spool: string,
  maxBodyBytes: number,
): Promise<Work> {
  const inUrl = (parameters.get('query') ?? '').trim();
  // One character per byte, so that positions in the text are positions in the data.
  let text = Buffer.from(inUrl, 'utf8').toString('latin1');
  if (!inUrl) text = (await readBody(req, Math.min(maxBodyBytes, maxStatementBytes))).toString('latin1');
  let statement = parseStatement(text);
  if (inUrl && statement.kind === 'other') {
    const rest = await readBody(req, Math.min(maxBodyBytes, maxStatementBytes));
    if (rest.length > 0) statement = parseStatement(`${text}\n${rest.toString('latin1')}`);
  }

  if (statement.kind === 'other') {
    const sql = Buffer.from(statement.sql, 'latin1').toString('utf8');
    const isWrite = req.method !== 'GET' && !/^(select|with|show|describe|desc|explain|exists)\b/i.test(sql);
    return { sql, format: statement.format, isWrite, isInsert: statement.isInsertSelect };
  }

  const inline = Buffer.from(text.slice(statement.dataStart), 'latin1');
  if (inUrl) await spoolBody(req, maxBodyBytes, spool, inline);
  else await writeFile(spool, inline, { flag: 'wx', mode: 0o600 });
  const [target, settings] = [statement.target, statement.settings].map((t) =>
    Buffer.from(t, 'latin1').toString('utf8'),
  );
  const format = statement.format ?? parameters.get('default_format') ?? 'Values';
  const sql = `${target} FROM INFILE ${literal(spool)} ${settings} FORMAT ${format}`;
  return { sql, format: undefined, isWrite: true, isInsert: true };
}
