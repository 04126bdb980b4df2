import { Readable, Transform } from 'node:stream';
import { AppError, unavailable } from '@worktide/runtime';

export interface Source {
  chunks: AsyncIterable<Buffer>;
  /** Why no more came from it, where that is its own fault or its size's. */
  failure: () => { error: unknown } | undefined;
  /** Lets go of a stream that was not read to its end. */
  release(): void;
}

const wrongSize = (): AppError =>
  new AppError('OBJECT_SIZE_MISMATCH', 'There are not as many bytes as were announced.', { statusCode: 400 });

/** The bytes of a body as they come, `size` of them where that is known, until the signal aborts. */
export function openSource(body: Buffer | Readable, size: number | undefined, signal: AbortSignal): Source {
  let failure: { error: unknown } | undefined;
  const stop = (): void => {
    if (body instanceof Readable) body.destroy(signal.reason as Error);
  };

  async function* read(): AsyncGenerator<Buffer> {
    let seen = 0;
    signal.addEventListener('abort', stop, { once: true });
    try {
      signal.throwIfAborted();
      const chunks = body instanceof Readable ? (body as AsyncIterable<Buffer | string>) : [body];
      for await (const chunk of chunks) {
        signal.throwIfAborted();
        const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
        seen += bytes.length;
        if (size !== undefined && seen > size) throw wrongSize();
        if (bytes.length > 0) yield bytes;
      }
      signal.throwIfAborted();
      if (size !== undefined && seen < size) throw wrongSize();
    } catch (error) {
      failure = { error: signal.aborted ? signal.reason : error };
      throw error;
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  return {
    chunks: read(),
    failure: () => failure,
    release() {
      if (!(body instanceof Readable) || body.readableEnded || body.destroyed) return;
      // Without a listener its complaint about the early end would end the process.
      body.on('error', () => {});
      body.destroy();
    },
  };
}

/** A store's body with exactly `length` bytes, or an error: a connection that closes in the middle is no end. */
export function wholeBody(body: Readable, length: number, onBytes: (count: number) => void): Readable {
  let seen = 0;
  const whole = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      seen += chunk.length;
      onBytes(chunk.length);
      done(null, chunk);
    },
    flush(done) {
      done(seen === length ? null : unavailable('object store', new Error(`${seen} bytes came, not ${length}`)));
    },
    destroy(error, done) {
      body.destroy();
      done(error);
    },
  });
  body.once('error', (error) => whole.destroy(unavailable('object store', error)));
  body.once('close', () => {
    if (!body.readableEnded) whole.destroy(unavailable('object store', new Error('the body was cut')));
  });
  return body.pipe(whole);
}
