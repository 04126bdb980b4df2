import type { LogRecord, StoredRecord } from '../types.ts';

/**
 * A record's key in the store: topic id (16 bits), partition (16 bits), offset (48 bits), big-endian, so that a
 * partition's records stand together in order. 2^48 offsets last 89 years at 100,000 records a second.
 */
export function recordKey(topicId: number, partition: number, offset: number): Buffer {
  const key = Buffer.allocUnsafe(10);
  key.writeUInt16BE(topicId, 0);
  key.writeUInt16BE(partition, 2);
  key.writeUIntBE(offset, 4, 6);
  return key;
}

export const offsetOf = (key: Buffer): number => key.readUIntBE(4, 6);

/** A partition's own key, where the offset of its next record is kept. */
export function partitionKey(topicId: number, partition: number): Buffer {
  return recordKey(topicId, partition, 0).subarray(0, 4);
}

const formatVersion = 1;
const headBytes = 17;

/** Version (8 bits), timestamp (double), key and headers length (32 bits each), then key, headers as JSON, value. */
export function encodeRecord(record: LogRecord, timestamp: number): Buffer {
  const headers = record.headers && Object.keys(record.headers).length > 0 ? JSON.stringify(record.headers) : '';
  const keyLength = Buffer.byteLength(record.key);
  const headersLength = Buffer.byteLength(headers);
  const bytes = Buffer.allocUnsafe(headBytes + keyLength + headersLength + record.value.length);
  bytes[0] = formatVersion;
  bytes.writeDoubleBE(timestamp, 1);
  bytes.writeUInt32BE(keyLength, 9);
  bytes.writeUInt32BE(headersLength, 13);
  bytes.write(record.key, headBytes);
  bytes.write(headers, headBytes + keyLength);
  bytes.set(record.value, headBytes + keyLength + headersLength);
  return bytes;
}

export const timestampOf = (bytes: Buffer): number => bytes.readDoubleBE(1);

export function decodeRecord(topic: string, partition: number, offset: number, bytes: Buffer): StoredRecord {
  if (bytes[0] !== formatVersion) throw new Error(`record format ${bytes[0]} is not known to this version`);
  const keyEnd = headBytes + bytes.readUInt32BE(9);
  const headersEnd = keyEnd + bytes.readUInt32BE(13);
  return {
    topic,
    partition,
    offset,
    timestamp: timestampOf(bytes),
    key: bytes.toString('utf8', headBytes, keyEnd),
    value: bytes.subarray(headersEnd),
    headers: headersEnd === keyEnd ? {} : JSON.parse(bytes.toString('utf8', keyEnd, headersEnd)),
  };
}
