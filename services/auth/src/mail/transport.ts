import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import nodemailer, { type SendMailOptions } from 'nodemailer';
import type { Letter } from './letters.ts';

export interface MailTransport {
  /** Resolves when the mail is the server's, or on disk. Rejects with `MailError`. */
  send(letter: Letter): Promise<void>;
}

type Mail = SendMailOptions;

/** Why a mail was not taken. Its text goes to operators, never to callers. */
export class MailError extends Error {
  /** It can never be sent: the server will not have this address, or this mail. */
  readonly isFinal: boolean;
  /** It may have been delivered all the same: the connection broke before the answer. */
  readonly isUncertain: boolean;

  constructor(message: string, options: { isFinal: boolean; isUncertain: boolean; cause?: unknown }) {
    super(message, { cause: options.cause });
    this.name = 'MailError';
    this.isFinal = options.isFinal;
    this.isUncertain = options.isUncertain;
  }
}

/**
 * Ways for mail by URL: `smtp://user:password@host:587` (STARTTLS where the server has it, always with
 * `?requireTLS=true`), `smtps://…` (TLS from the start), or `file:<folder>`, where each mail is an `.eml` file.
 */
export const isMailUrl = (url: string): boolean =>
  /^file:./.test(url) || (/^smtps?:\/\/./.test(url) && URL.canParse(url));

/**
 * @param url as `isMailUrl` takes it.
 * @param from sender, `Name <address>` or an address.
 */
export function openMailTransport(url: string, from: string): MailTransport {
  if (url.startsWith('file:')) return fileTransport(resolve(url.slice('file:'.length).replace(/^\/\//, '')), from);
  return smtpTransport(url, from);
}

/** Together below the lease of a mail. */
const timeouts = { dnsTimeout: 10_000, connectionTimeout: 10_000, greetingTimeout: 10_000, socketTimeout: 20_000 };
const sendTimeoutMs = 60_000;

function smtpTransport(url: string, from: string): MailTransport {
  const transporter = nodemailer.createTransport({ url, ...timeouts });
  return {
    async send(letter) {
      // Each step has its time; a server that answers byte by byte would have them all.
      const signal = AbortSignal.timeout(sendTimeoutMs);
      try {
        await transporter.sendMail({ ...messageOf(letter, from), signal });
      } catch (error) {
        throw toMailError(error);
      }
    },
  };
}

/** Where nodemailer names what went wrong. */
interface SmtpFault {
  code?: string;
  /** Set where the server refused something. */
  responseCode?: number;
  /** Of the socket, e.g. `connect`. */
  syscall?: string;
  message?: string;
}

function toMailError(error: unknown): MailError {
  if (error instanceof MailError) return error;
  const { code, responseCode, syscall, message = String(error) } = error as SmtpFault;
  // 5xx of the recipient or the mail is the server's last word; 5xx of a log-in or a greeting is for operators to mend.
  const isAboutTheMail = code === 'EENVELOPE' || code === 'EMESSAGE';
  const isFinal = isAboutTheMail && (responseCode === undefined || (responseCode >= 500 && responseCode !== 503));
  const wasConnected = syscall !== 'connect' && code !== 'EDNS';
  const isUncertain = responseCode === undefined && wasConnected && !isFinal;
  return new MailError(message, { isFinal, isUncertain, cause: error });
}

function fileTransport(folder: string, from: string): MailTransport {
  const transporter = nodemailer.createTransport({ streamTransport: true, buffer: true, newline: 'windows' });
  const write = async (mail: Mail): Promise<Buffer> => (await transporter.sendMail(mail)).message as Buffer;
  return {
    async send(letter) {
      const mail = messageOf(letter, from);
      const content = isAscii(letter.text)
        ? withText(await write({ ...mail, text: '.' }), letter.text)
        : await write({ ...mail, ...partsOf(letter.text) });
      const instant = new Date().toISOString().replaceAll(/[-:.]/g, '');
      const name = `${instant}-${randomBytes(4).toString('hex')}`;
      const partial = join(folder, `.${name}.partial`);
      try {
        // Links of mails are secrets of their receivers.
        await mkdir(folder, { recursive: true, mode: 0o700 });
        const file = await open(partial, 'wx', 0o600);
        try {
          await file.writeFile(content);
          await file.sync();
        } finally {
          await file.close();
        }
        await rename(partial, join(folder, `${name}.eml`));
      } catch (error) {
        await rm(partial, { force: true }).catch(() => {});
        throw new MailError('the mail cannot be written', { isFinal: false, isUncertain: false, cause: error });
      }
    },
  };
}

const isAscii = (text: string): boolean => !/[^\n\r\t -~]/.test(text);

/** The head of a message with another text, as it is: no line of it is broken, however long. */
function withText(message: Buffer, text: string): Buffer {
  const head = message.subarray(0, message.indexOf('\r\n\r\n')).toString('latin1');
  const told = head.replace(/^content-transfer-encoding:.*$/im, 'Content-Transfer-Encoding: 7bit');
  return Buffer.from(`${told}\r\n\r\n${text.replaceAll(/\r?\n/g, '\r\n')}`, 'latin1');
}

/**
 * Whoever reads the file copies the link from it, whose `=` quoted-printable writes as `=3D`, and which it breaks where it is
 * long. So where other letters stand around it, it is a part of its own (7bit), between two in quoted-printable; mail
 * programs show the three as one text.
 */
function partsOf(text: string): Pick<Mail, 'text' | 'attachments'> {
  const link = /^https?:\/\/[!-~]+$/m.exec(text);
  if (!link) return { text };
  const head = 'Content-Type: text/plain; charset=utf-8\r\nContent-Disposition: inline\r\n';
  const end = link.index + link[0].length;
  return {
    // Between parts there is a line break as it is.
    text: text.slice(0, link.index).replace(/\n$/, ''),
    attachments: [
      { raw: `${head}Content-Transfer-Encoding: 7bit\r\n\r\n${link[0]}` },
      {
        content: text.slice(end + 1),
        filename: false,
        contentType: 'text/plain; charset=utf-8',
        contentDisposition: 'inline',
        contentTransferEncoding: 'quoted-printable',
      },
    ],
  };
}

/**
 * Addresses of people may hold what means something between `<` and `>` of a command or in a list of addresses; those
 * are no addresses of real mailboxes.
 */
const isPlainAddress = (address: string): boolean =>
  /^[^\s\p{C}<>()[\]\\,;:"@]+@[^\s\p{C}<>()[\]\\,;:"@]+$/u.test(address);

function messageOf({ to, subject, text }: Letter, from: string): Mail {
  if (!isPlainAddress(to)) {
    throw new MailError('not an address that mail can be sent to', { isFinal: true, isUncertain: false });
  }
  return {
    from,
    to: { name: '', address: to },
    subject,
    text,
    // Base64 would hide the link from whoever reads the source; short ASCII lines go as they are (7bit).
    textEncoding: 'quoted-printable' as const,
    xMailer: false as const,
    // RFC 3834: no out-of-office answers to this.
    headers: { 'Auto-Submitted': 'auto-generated' },
    disableFileAccess: true,
    disableUrlAccess: true,
  };
}
