/** The kinds of picture that are taken, as the content types of uploads. */
export const pictureTypes = ['image/jpeg', 'image/png', 'image/webp', 'image/avif'] as const;
export type PictureType = (typeof pictureTypes)[number];

/** How many bytes from the start `sniffPicture` wants to see; fewer will do where the file is shorter. */
export const sniffLength = 256;

const ascii = (head: Uint8Array, from: number, to: number): string =>
  String.fromCharCode(...head.subarray(from, Math.min(to, head.length)));

/**
 * The kind of picture that these first bytes of a file announce, whatever its name and declared type say. It says which
 * decoder may look at the file, not that the file is sound. Undefined for everything else, animations of other kinds,
 * SVG, HEIC and cut heads included.
 */
export function sniffPicture(head: Uint8Array): PictureType | undefined {
  if (head[0] === 0xff && head[1] === 0xd8 && head[2] === 0xff) return 'image/jpeg';
  // The header chunk belongs to it: the signature alone says nothing about what follows.
  if (ascii(head, 0, 8) === '\x89PNG\r\n\x1a\n' && ascii(head, 12, 16) === 'IHDR') return 'image/png';
  if (ascii(head, 0, 4) === 'RIFF' && /^WEBPVP8[ LX]$/.test(ascii(head, 8, 16))) return 'image/webp';
  const brands = heifBrands(head);
  return brands.includes('avif') || brands.includes('avis') ? 'image/avif' : undefined;
}

/** True of AVIF image sequences, which name themselves in their brands. */
export const isAvifSequence = (head: Uint8Array): boolean => heifBrands(head).includes('avis');

/** The brands of the box `ftyp`, as far as they are in the head: the major one, then (past its version) the compatible. */
function heifBrands(head: Uint8Array): string[] {
  if (ascii(head, 4, 8) !== 'ftyp') return [];
  const size = new DataView(head.buffer, head.byteOffset, head.byteLength).getUint32(0);
  const end = Math.min(size, head.length, sniffLength);
  const brands: string[] = [];
  for (let at = 8; at + 4 <= end; at += at === 8 ? 8 : 4) brands.push(ascii(head, at, at + 4));
  return brands;
}
