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

/** So many of an `ownedUuid`'s last bytes say whose it is. */
const ownerBytes = 4;

const ownerMark = (rest: Uint8Array, owner: string): Buffer =>
  hash('sha256', `${Buffer.from(rest).toString('hex')}:${owner}`, 'buffer').subarray(0, ownerBytes);

/**
 * A UUIDv7 that says whose it is to whoever knows the owner (`ownedUuidTime`): what another made up, or found, is told from
 * one of theirs without a look. No proof, and nothing may hang on it but which answer "not there" gets.
 */
export function ownedUuid(owner: string, nowMs: number = Date.now()): string {
  const b = Buffer.from(uuidv7(nowMs).replaceAll('-', ''), 'hex');
  ownerMark(b.subarray(0, -ownerBytes), owner).copy(b, b.length - ownerBytes);
  return hex(b);
}

/** @returns when it was made, in ms; undefined where it is not one of this owner's. */
export function ownedUuidTime(id: string, owner: string): number | undefined {
  const b = Buffer.from(id.replaceAll('-', ''), 'hex');
  if (b.length !== 16 || b[6]! >> 4 !== 7) return undefined;
  if (!ownerMark(b.subarray(0, -ownerBytes), owner).equals(b.subarray(-ownerBytes))) return undefined;
  return b.readUIntBE(0, 6);
}
