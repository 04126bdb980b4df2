/**
 * A seeded source of chance: the same seed gives the same sequence on every machine.
 * The generator is sfc32 (Chris Doty-Humphrey's Small Fast Counting, PractRand), seeded from text by FNV-1a.
 */
export interface Random {
  /** In [0, 1). */
  next(): number;
  /** A whole number in [min, max], both inclusive. */
  int(min: number, max: number): number;
  /** True with this probability. */
  chance(probability: number): boolean;
  pick<T>(items: readonly T[]): T;
  /** A new array in random order. */
  shuffled<T>(items: readonly T[]): T[];
  /** A UUIDv7 (RFC 9562 §5.7) of this instant. */
  uuidv7(atMs: number): string;
}

function fnv1a(text: string, basis: number): number {
  let hash = basis;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');

/** @param seed any text; parts that differ give unrelated sequences. */
export function createRandom(...seed: (string | number)[]): Random {
  const text = seed.join('\u0000');
  let a = fnv1a(text, 0x811c9dc5);
  let b = fnv1a(text, 0x9e3779b9);
  let c = fnv1a(text, 0x85ebca6b);
  let counter = 1;

  function uint32(): number {
    const t = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return t >>> 0;
  }
  // The first outputs still show the seed; its author discards twelve.
  for (let i = 0; i < 12; i++) uint32();

  const next = (): number => uint32() / 2 ** 32;
  const int = (min: number, max: number): number => min + Math.floor(next() * (max - min + 1));

  return {
    next,
    int,
    chance: (probability) => next() < probability,
    pick: (items) => items[int(0, items.length - 1)]!,
    shuffled(items) {
      const copy = [...items];
      for (let i = copy.length - 1; i > 0; i--) {
        const j = int(0, i);
        [copy[i], copy[j]] = [copy[j]!, copy[i]!];
      }
      return copy;
    },
    uuidv7(atMs) {
      const time = hex(atMs, 12);
      const high = hex(0x7000 | (uint32() & 0x0fff), 4);
      const variant = hex(0x8000 | (uint32() & 0x3fff), 4);
      return `${time.slice(0, 8)}-${time.slice(8)}-${high}-${variant}-${hex(uint32(), 8)}${hex(uint32() & 0xffff, 4)}`;
    },
  };
}
