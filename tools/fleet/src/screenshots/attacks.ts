import { crc32 } from 'node:zlib';
import type { Form } from './shots.ts';

/** A form with something wrong, and what must become of it: a refusal at once, or a verdict once it was looked at. */
export interface Attack {
  name: string;
  spoil(form: Form): Form;
  refused?: { status: number; code: string };
  /** Codes of `failure`; a gateway that sees it sooner may refuse it as well. */
  failed?: readonly string[];
}

const isPng = (file: Buffer): boolean => file[0] === 0x89;
const dayMs = 24 * 3_600_000;

const withFile = (spoil: (file: Buffer) => Buffer | string) => (form: Form) => ({
  ...form,
  file: Buffer.from(spoil(form.file)),
});
const withFields = (fields: Record<string, string>) => (form: Form) => ({
  ...form,
  fields: { ...form.fields, ...fields },
});

function pngChunk(name: string, data: Buffer): Buffer {
  const chunk = Buffer.alloc(12 + data.length);
  chunk.writeUInt32BE(data.length, 0);
  chunk.write(name, 4, 'latin1');
  data.copy(chunk, 8);
  chunk.writeUInt32BE(crc32(chunk.subarray(4, 8 + data.length)), 8 + data.length);
  return chunk;
}

/** A header that claims 400 million pixels: what decodes before it counts would need gigabytes. */
function bomb(): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(20_000, 0);
  header.writeUInt32BE(20_000, 4);
  header[8] = 1;
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    pngChunk('IHDR', header),
    pngChunk('IDAT', Buffer.from('789c030000000001', 'hex')),
    pngChunk('IEND', Buffer.alloc(0)),
  ]);
}

const unsupported = { status: 415, code: 'UNSUPPORTED_PICTURE' };
const invalidField = { status: 400, code: 'VALIDATION_FAILED' };

export const attacks: readonly Attack[] = [
  { name: 'half a file', spoil: withFile((file) => file.subarray(0, file.length >> 1)), failed: ['CORRUPT'] },
  { name: 'no bytes', spoil: withFile(() => ''), refused: { status: 400, code: 'EMPTY_FILE' } },
  { name: 'a bomb', spoil: withFile(bomb), failed: ['TOO_MANY_PIXELS'] },
  { name: 'text', spoil: withFile(() => 'no picture at all '.repeat(100)), refused: unsupported },
  {
    name: 'a header before nonsense',
    spoil: withFile((file) => Buffer.concat([file.subarray(0, isPng(file) ? 33 : 20), Buffer.alloc(5_000, 0xa5)])),
    failed: ['CORRUPT'],
  },
  {
    name: 'SVG',
    spoil: withFile(() => '<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'),
    refused: unsupported,
  },
  { name: 'a blur level of 7', spoil: withFields({ blurLevel: '7' }), refused: invalidField },
  { name: 'GIF', spoil: withFile((file) => Buffer.concat([Buffer.from('GIF89a'), file])), refused: unsupported },
  { name: 'an id that is none', spoil: withFields({ screenshotId: '../../other' }), refused: invalidField },
  {
    name: 'too old',
    spoil: (form) => withFields({ capturedAt: new Date(Date.now() - 91 * dayMs).toISOString() })(form),
    refused: { status: 400, code: 'CAPTURED_TOO_LONG_AGO' },
  },
];
