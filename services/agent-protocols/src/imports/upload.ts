import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import type { ObjectStore } from '@worktide/object-store';
import { AppError, bodyAborted, type GiveUp, invalid } from '@worktide/runtime';
import { importForm } from '@worktide/schemas';
import busboy from 'busboy';
import { kept } from './items.ts';

const maxFields = 20;
const maxFieldBytes = 1_024;
const fileBufferBytes = 512 * 1024;
/** What a form may have beside its file. */
const overheadBytes = 64 * 1024;

export type ImportForm = ReturnType<typeof readFields>;

export interface Uploaded {
  form: ImportForm;
  bytes: number;
  fileName: string | null;
}

export interface UploadOptions {
  store: Pick<ObjectStore, 'put'>;
  key: string;
  maxBytes: number;
  signal: AbortSignal;
  /** Called with what ends the reading while it lasts. What it throws ends it. */
  begin(giveUp: GiveUp): void;
}

const tooLarge = (limit: number): AppError =>
  new AppError('BODY_TOO_LARGE', `A file may have ${limit} bytes.`, { statusCode: 413 });

/** @throws AppError 400 `VALIDATION_FAILED`, `TIMEZONE_REQUIRED`. */
function readFields(fields: Readonly<Record<string, string>>) {
  const parsed = importForm.safeParse(fields);
  if (!parsed.success) {
    const details = parsed.error.issues.map(({ path, message, code }) => ({
      path: `body.${path.join('.')}`,
      code: code.toUpperCase(),
      message,
    }));
    throw invalid('VALIDATION_FAILED', 'The form is not as it must be.', details);
  }
  const { kind, timezone } = parsed.data;
  if (kind === 'toggl' && timezone === undefined) {
    throw invalid(
      'TIMEZONE_REQUIRED',
      'Toggl writes times without their zone: say by `timezone` in which one the file is, as its settings have it.',
    );
  }
  return parsed.data;
}

/**
 * Takes a form with one file, wherever among the fields it stands, into the store as it comes, holding none of it. The object
 * appears only once the whole form is here and good, so that nothing is left of what is refused or breaks off.
 * @throws AppError 400, 408, 413, 415 that says what is wrong; 503.
 */
export async function receiveImport(req: IncomingMessage, options: UploadOptions): Promise<Uploaded> {
  const { store, key, maxBytes, signal, begin } = options;
  const ender = new AbortController();
  const ends = AbortSignal.any([signal, ender.signal]);
  let storing: Promise<{ size: number }> | undefined;
  let fileName: string | null = null;
  try {
    const whole: Promise<ImportForm> = readForm(req, {
      maxBytes,
      signal: ends,
      begin,
      onFile(file, name) {
        fileName = name;
        async function* bytes(): AsyncGenerator<Buffer> {
          let size = 0;
          for await (const piece of file) {
            size += (piece as Buffer).length;
            yield piece as Buffer;
          }
          if (size === 0) throw invalid('EMPTY_FILE', 'The file is empty.');
          await whole;
        }
        storing = store.put(key, Readable.from(bytes()), { contentType: 'application/octet-stream', signal: ends });
        storing.catch((error: unknown) => ender.abort(error));
      },
    });
    const form = await whole;
    const { size } = await storing!;
    return { form, bytes: size, fileName };
  } finally {
    // When it is answered there is nothing left of it.
    await storing?.catch(() => {});
  }
}

interface FormOptions extends Pick<UploadOptions, 'maxBytes' | 'signal' | 'begin'> {
  onFile(file: Readable, name: string | null): void;
}

function readForm(req: IncomingMessage, { maxBytes, signal, begin, onFile }: FormOptions): Promise<ImportForm> {
  return new Promise((resolve, reject) => {
    if (Number(req.headers['content-length'] ?? 0) > maxBytes + overheadBytes) throw tooLarge(maxBytes);
    const parser = openParser(req, maxBytes);
    const fields: Record<string, string> = {};
    let fileCame = false;
    let bytes = 0;
    let settled = false;

    function settle(): boolean {
      if (settled) return false;
      settled = true;
      signal.removeEventListener('abort', onAbort);
      req.off('data', count);
      return true;
    }
    function fail(error: unknown): void {
      if (!settle()) return;
      req.unpipe(parser);
      req.resume();
      // Takes the file along.
      parser.destroy(error as Error);
      reject(error);
    }
    const onAbort = (): void => fail(signal.reason);
    const count = (piece: Buffer): void => {
      bytes += piece.length;
      if (bytes > maxBytes + overheadBytes) fail(tooLarge(maxBytes));
    };
    parser.on('field', (name, value, { valueTruncated }) => {
      if (name === 'file') return fail(invalid('FILE_MISSING', '`file` must be a file, with a file name.'));
      if (valueTruncated) return fail(invalid('FIELD_TOO_LONG', `A field has ${maxFieldBytes} bytes at most.`));
      // What a form leaves empty it does not say.
      if (value !== '' && Object.hasOwn(importForm.shape, name)) fields[name] = value;
    });
    parser.on('file', (name, file, { filename }) => {
      file.on('error', () => {});
      if (name !== 'file') return fail(invalid('UNEXPECTED_FILE', 'Only `file` may be a file.'));
      fileCame = true;
      file.once('limit', () => fail(tooLarge(maxBytes)));
      onFile(file, kept(filename ?? '', 200) || null);
    });
    parser.on('filesLimit', () => fail(invalid('TOO_MANY_FILES', 'One file a request.')));
    const tooMany = (): void => fail(invalid('TOO_MANY_FIELDS', `A form has ${maxFields} fields at most.`));
    parser.on('fieldsLimit', tooMany);
    parser.on('partsLimit', tooMany);
    parser.on('error', (cause) =>
      fail(new AppError('MALFORMED_FORM', 'The body is no whole multipart form.', { statusCode: 400, cause })),
    );
    parser.on('close', () => {
      if (settled) return;
      try {
        if (!fileCame) throw invalid('FILE_MISSING', 'The form has no `file`.');
        const form = readFields(fields);
        if (settle()) resolve(form);
      } catch (error) {
        fail(error);
      }
    });
    req.once('error', (cause) => fail(bodyAborted(cause)));
    // A form that was read to its end is settled by then, or will be by what its parser still says.
    req.once('close', () => {
      if (!req.readableEnded) fail(bodyAborted());
    });
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) return onAbort();
    if (req.destroyed) return fail(bodyAborted());
    try {
      begin((error) => {
        const reads = !settled;
        fail(error);
        return reads;
      });
    } catch (error) {
      return fail(error);
    }
    req.on('data', count);
    req.pipe(parser);
  });
}

function openParser(req: IncomingMessage, maxBytes: number): busboy.Busboy {
  if (!/^multipart\/form-data\s*(;|$)/i.test(req.headers['content-type'] ?? '')) {
    throw new AppError('UNSUPPORTED_MEDIA_TYPE', 'Send multipart/form-data.', { statusCode: 415 });
  }
  if ((req.headers['content-encoding'] ?? 'identity') !== 'identity') {
    throw new AppError('UNSUPPORTED_ENCODING', 'A form is sent without a content encoding.', { statusCode: 415 });
  }
  try {
    return busboy({
      headers: req.headers,
      fileHwm: fileBufferBytes,
      // The parser reports a limit when it is reached, not when it is passed.
      limits: {
        fileSize: maxBytes + 1,
        files: 1,
        fields: maxFields,
        parts: maxFields + 2,
        fieldSize: maxFieldBytes + 1,
      },
    });
  } catch (cause) {
    throw new AppError('MALFORMED_FORM', 'The form names no boundary.', { statusCode: 400, cause });
  }
}
