/**
 * Which partition a key belongs to: the default partitioner of Kafka's Java client (murmur2 of the key's UTF-8
 * bytes, sign bit cleared, modulo), so that any other client puts the same key onto the same partition.
 */
export function partitionFor(key: string, partitions: number): number {
  return (murmur2(Buffer.from(key, 'utf8')) & 0x7fffffff) % partitions;
}

// Kafka's Utils.murmur2: seed and mixing constants are its own. kafkajs has the same function, but on 64-bit
// objects, which takes longer than everything else that is done per record.
const seed = 0x9747b28c;
const m = 0x5bd1e995;

/** 32-bit MurmurHash2 as a signed integer. */
export function murmur2(data: Uint8Array): number {
  const length = data.length;
  let h = (seed ^ length) | 0;
  let i = 0;
  for (; i + 4 <= length; i += 4) {
    let k = data[i]! | (data[i + 1]! << 8) | (data[i + 2]! << 16) | (data[i + 3]! << 24);
    k = Math.imul(k, m);
    k ^= k >>> 24;
    h = Math.imul(h, m) ^ Math.imul(k, m);
  }
  const rest = length - i;
  if (rest === 3) h ^= data[i + 2]! << 16;
  if (rest >= 2) h ^= data[i + 1]! << 8;
  if (rest >= 1) h = Math.imul(h ^ data[i]!, m);
  h ^= h >>> 13;
  h = Math.imul(h, m);
  return h ^ (h >>> 15);
}
