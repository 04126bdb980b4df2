import { connect, type Socket } from 'node:net';

/**
 * One HTTP/1.1 connection that has one request under way at a time. Over a bare socket, since Node's own clients cost
 * more than the server that is measured. It understands answers with a Content-Length, which is all that we send.
 */
export interface Connection {
  /** The next one only after the answer to the last. */
  send(request: Buffer | string): void;
  close(): void;
}

export interface ConnectionOptions {
  port: number;
  /** The body of the expected answer, to know it without parsing. */
  expectedBody: string;
  onAnswer: (status: number, body: string) => void;
  onFailure: (error: Error) => void;
}

export function openConnection(options: ConnectionOptions): Promise<Connection> {
  const { port, expectedBody, onAnswer, onFailure } = options;
  let pending = '';

  function onText(text: string): void {
    if (pending === '' && text.startsWith('HTTP/1.1 202') && text.endsWith(expectedBody)) {
      onAnswer(202, expectedBody);
      return;
    }
    pending += text;
    const answer = parse(pending);
    if (!answer) return;
    pending = '';
    onAnswer(answer.status, answer.body);
  }

  return new Promise((resolve, reject) => {
    const buffer = Buffer.allocUnsafe(64 * 1024);
    let closed = false;
    const socket: Socket = connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      onread: {
        buffer,
        callback(length) {
          try {
            onText(buffer.toString('latin1', 0, length));
          } catch (error) {
            onFailure(error as Error);
          }
          return true;
        },
      },
    });
    const fail = (error: Error): void => {
      reject(error);
      if (!closed) onFailure(error);
    };
    socket.once('error', fail);
    socket.once('close', () => fail(new Error('the server closed the connection')));
    socket.once('connect', () =>
      resolve({
        send: (request) => void (typeof request === 'string' ? socket.write(request, 'latin1') : socket.write(request)),
        close() {
          closed = true;
          socket.destroy();
        },
      }),
    );
  });
}

/** A whole answer, or undefined while there is more to come. Throws where it is none that it understands. */
export function parse(text: string): { status: number; body: string } | undefined {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const head = text.slice(0, end);
  const status = /^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1];
  const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
  if (status === undefined || length === undefined) throw new Error(`not understood: ${head}`);
  const body = text.slice(end + 4);
  if (body.length < Number(length)) return undefined;
  if (body.length > Number(length)) throw new Error(`more than was asked for: ${text}`);
  return { status: Number(status), body };
}
