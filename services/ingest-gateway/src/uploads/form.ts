import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { AppError, bodyAborted, type GiveUp, invalid } from '@worktide/runtime';
import { screenshotForm } from '@worktide/schemas';
import busboy from 'busboy';

export type FieldName = keyof typeof screenshotForm.shape;
export type FormFields = Partial<Record<FieldName, string>>;

const isKnown = (name: string): name is FieldName => Object.hasOwn(screenshotForm.shape, name);

const maxFields = 20;
const maxFieldBytes = 64 * 1024;
const fileBufferBytes = 512 * 1024;
/** What a form may have beside its file: fields, headers of parts, boundaries. */
const overheadBytes = 1024 * 1024;

export interface FormOptions {
  maxFileBytes: number;
  /** Ends the reading: rejects with the signal's reason. */
  signal: AbortSignal;
  /**
   * Called once, when the first bytes of the body are here, with the size that was announced and what ends the reading
   * while it lasts. What it throws ends it.
   */
  begin(size: number | undefined, giveUp: GiveUp): void;
  /**
   * Called once, at the file's beginning, with the fields that came before it. The file is to be read to its end: the
   * form goes on behind it. It fails with the form.
   */
  onFile(file: Readable, declaredType: string, fields: FormFields): void;
}

export const bodyTooLarge = (limit: number): AppError =>
  new AppError('BODY_TOO_LARGE', `A screenshot may have ${limit} bytes.`, { statusCode: 413 });

/**
 * Reads a multipart form with one file, wherever among the fields it stands, holding none of the file.
 * Resolves with the fields when the whole request is here. Of a form that is refused the rest is thrown away as it comes.
 * @throws AppError 400, 413 or 415 that says what is wrong with it.
 */
export function readForm(req: IncomingMessage, options: FormOptions): Promise<FormFields> {
  const { maxFileBytes, signal, begin, onFile } = options;
  const length = req.headers['content-length'];
  const announced = length === undefined ? undefined : Number(length);
  return new Promise((resolve, reject) => {
    if ((announced ?? 0) > maxFileBytes + overheadBytes) throw bodyTooLarge(maxFileBytes);
    const parser = openParser(req, maxFileBytes);
    const fields: FormFields = {};
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
    const giveUp: GiveUp = (error) => {
      const reads = !settled;
      fail(error);
      return reads;
    };
    const onAbort = (): void => fail(signal.reason);
    const aborted = (cause?: unknown): void => fail(bodyAborted(cause));
    // Also what stands before and behind the parts, of which the parser tells nothing.
    const count = (chunk: Buffer): void => {
      try {
        if (bytes === 0) begin(announced, giveUp);
      } catch (error) {
        fail(error);
        return;
      }
      bytes += chunk.length;
      if (bytes > maxFileBytes + overheadBytes) fail(bodyTooLarge(maxFileBytes));
    };

    parser.on('field', (name, value, { valueTruncated }) => {
      if (name === 'file') return fail(invalid('FILE_MISSING', '`file` must be a file, with a file name.'));
      if (!isKnown(name)) return;
      if (valueTruncated) return fail(invalid('FIELD_TOO_LONG', `${name} has more than ${maxFieldBytes} bytes.`));
      if (fields[name] !== undefined) return fail(invalid('DUPLICATE_FIELD', `${name} is there twice.`));
      // What a form leaves empty it does not say.
      if (value !== '') fields[name] = value;
    });
    parser.on('file', (name, file, { mimeType }) => {
      file.on('error', () => {});
      if (name !== 'file') {
        const text = 'Only `file` may be a file; the other fields are text, without a file name.';
        return fail(invalid('UNEXPECTED_FILE', text));
      }
      fileCame = true;
      file.once('limit', () => fail(bodyTooLarge(maxFileBytes)));
      try {
        onFile(file, mimeType, { ...fields });
      } catch (error) {
        fail(error);
      }
    });
    parser.on('filesLimit', () => fail(invalid('TOO_MANY_FILES', 'One screenshot a request.')));
    const tooMany = (): void => fail(invalid('TOO_MANY_FIELDS', `A form has ${maxFields} fields at most.`));
    parser.on('fieldsLimit', tooMany);
    parser.on('partsLimit', tooMany);
    parser.on('error', (cause) =>
      fail(new AppError('MALFORMED_FORM', 'The body is no whole multipart form.', { statusCode: 400, cause })),
    );
    parser.on('close', () => {
      if (!fileCame) return fail(invalid('FILE_MISSING', 'The form has no `file`.'));
      if (settle()) resolve(fields);
    });

    req.once('error', aborted);
    // A form that was read to its end is settled by then, or will be by what its parser still says.
    req.once('close', () => {
      if (!req.readableEnded) aborted();
    });
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) return onAbort();
    if (req.destroyed) return aborted();
    req.on('data', count);
    req.pipe(parser);
  });
}

function openParser(req: IncomingMessage, maxFileBytes: number): busboy.Busboy {
  if (!/^multipart\/form-data\s*(;|$)/i.test(req.headers['content-type'] ?? '')) {
    throw new AppError('UNSUPPORTED_MEDIA_TYPE', 'Send multipart/form-data.', { statusCode: 415 });
  }
  if ((req.headers['content-encoding'] ?? 'identity') !== 'identity') {
    throw new AppError('UNSUPPORTED_ENCODING', 'A form is sent without a content encoding.', { statusCode: 415 });
  }
  try {
    return busboy({
      headers: req.headers,
      // What gathers here goes to the store at once: fewer and larger writes.
      fileHwm: fileBufferBytes,
      // The parser reports a limit when it is reached, not when it is passed.
      limits: {
        fileSize: maxFileBytes + 1,
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
