import { readdir, readFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';

/** Helpers of tests: mails as their receivers see them, and a server that takes them. */

export interface ReceivedMail {
  headers: Record<string, string>;
  encoding: string;
  text: string;
  /** The line that is a link, and its token. */
  link: string | undefined;
  token: string | undefined;
  raw: string;
}

export function parseMail(raw: string): ReceivedMail {
  const end = raw.indexOf('\r\n\r\n');
  const lines = raw.slice(0, end).replaceAll(/\r\n[ \t]+/g, ' ');
  const headers = Object.fromEntries(
    lines.split('\r\n').map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.replace(/^[^:]*:\s*/, '')]),
  );
  const encoding = headers['content-transfer-encoding'] ?? '7bit';
  const body = raw.slice(end + 4);
  const boundary = /^multipart\/.*boundary="([^"]+)"/.exec(headers['content-type'] ?? '')?.[1];
  const parts = boundary === undefined ? [] : body.split(`--${boundary}`).slice(1, -1);
  const decoded =
    parts.length > 0
      ? parts.map((part) => parseMail(part.replace(/^\r\n/, '').replace(/\r\n$/, '')).text).join('\n')
      : encoding === 'quoted-printable'
        ? decodeQuotedPrintable(body)
        : Buffer.from(body, 'latin1').toString();
  const text = decoded.replaceAll('\r\n', '\n');
  const link = text.split('\n').find((line) => /^https?:\/\/\S+$/.test(line));
  const token = link === undefined ? undefined : (new URL(link).searchParams.get('token') ?? undefined);
  return { headers, encoding, text, link, token, raw };
}

function decodeQuotedPrintable(text: string): string {
  const bytes = text
    .replaceAll(/=\r\n/g, '')
    .replaceAll(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

/** Mails to an address in a folder of `.eml` files, in the order of their sending. */
export async function readMails(folder: string, address: string): Promise<ReceivedMail[]> {
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.eml')).sort();
  const mails = await Promise.all(names.map(async (name) => parseMail(await readFile(join(folder, name), 'latin1'))));
  return mails.filter(({ headers }) => headers.to === address);
}

export interface SmtpServer {
  port: number;
  commands: string[];
  mails: { from: string; to: string[]; mail: ReceivedMail }[];
  close(): Promise<void>;
}

/**
 * A mail server that takes everything, as far as RFC 5321 §4.5.1 demands of the least.
 * @param reply says otherwise for a command (`.` is the end of a mail): a reply, or `drop` for a broken connection.
 */
export async function startSmtp(
  reply: (command: string) => string | undefined = () => undefined,
  port = 0,
): Promise<SmtpServer> {
  const sockets = new Set<Socket>();
  const commands: string[] = [];
  const mails: SmtpServer['mails'] = [];

  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    let buffered = '';
    let from = '';
    let to: string[] = [];
    let data: string[] | undefined;
    const answer = (command: string, usual: string): boolean => {
      const line = reply(command) ?? usual;
      if (line === 'drop') socket.destroy();
      else socket.write(`${line}\r\n`);
      return line === usual;
    };
    answer('connect', '220 mail.test ESMTP');
    socket.on('data', (chunk) => {
      buffered += chunk.toString('latin1');
      for (let end = buffered.indexOf('\r\n'); end >= 0; end = buffered.indexOf('\r\n')) {
        const line = buffered.slice(0, end);
        buffered = buffered.slice(end + 2);
        if (data && line !== '.') data.push(line.replace(/^\./, ''));
        else if (data) {
          const mail = parseMail(data.join('\r\n'));
          data = undefined;
          if (answer('.', '250 taken')) mails.push({ from, to, mail });
        } else onCommand(line);
      }
    });

    function onCommand(line: string): void {
      commands.push(line);
      const verb = line.slice(0, 4).toUpperCase();
      if (verb === 'EHLO') answer(line, '250-mail.test\r\n250 AUTH PLAIN');
      else if (verb === 'AUTH') answer(line, '235 welcome');
      else if (verb === 'MAIL') {
        from = line.slice('MAIL FROM:'.length);
        to = [];
        answer(line, '250 ok');
      } else if (verb === 'RCPT') {
        if (answer(line, '250 ok')) to.push(line.slice('RCPT TO:'.length));
      } else if (verb === 'DATA') {
        if (answer(line, '354 go on')) data = [];
      } else if (verb === 'QUIT') socket.end('221 bye\r\n');
      else answer(line, '250 ok');
    }
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    commands,
    mails,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
