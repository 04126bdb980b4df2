import { hash, randomBytes } from 'node:crypto';

const hex = (bytes: Uint8Array): string => {
  const h = Buffer.from(bytes).toString('hex');
  return `${h.slice(0, 8)}-${h.slice(8, 12)}-${h.slice(12, 16)}-${h.slice(16, 20)}-${h.slice(20)}`;
};

/** A UUIDv7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, then random bits; sorts by time of making. */
export function uuidv7(nowMs: number = Date.now()): string {
  const b = randomBytes(16);
  b.writeUIntBE(nowMs, 0, 6);
  b[6] = (b[6]! & 0x0f) | 0x70;
  b[8] = (b[8]! & 0x3f) | 0x80;
  return hex(b);
}

/** A UUIDv8 (RFC 9562 §5.8) derived from the parts alone: the same parts give the same id on every machine. */
export function derivedUuid(...parts: (string | number)[]): string {
  // Length-prefixed, so that ('ab','c') and ('a','bc') differ.
  let text = '';
  for (const part of parts) text += `${Buffer.byteLength(String(part))}:${part}`;
  const b = hash('sha256', text, 'buffer').subarray(0, 16);
  b[6] = (b[6]! & 0x0f) | 0x80;
  b[8] = (b[8]! & 0x3f) | 0x80;
  return hex(b);
}
