import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { isAvifSequence, sniffPicture } from '@worktide/schemas';
import fc from 'fast-check';
import sharp from 'sharp';
import { isPictureFailure } from './failures.ts';
import { animated, claimSize, pngBomb, pngChunk, quarters, withChunks } from './hostile.fixture.ts';
import { defaultPictureLimits, openPictures } from './picture.ts';

const pictures = openPictures();
const kinds = ['jpeg', 'png', 'webp', 'avif'] as const;
const files = {} as Record<(typeof kinds)[number], Buffer>;
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'pictures-'));
  const upright = await quarters();
  for (const kind of kinds) files[kind] = await sharp(upright).toFormat(kind).toBuffer();
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const pixelsOf = (file: Buffer): Promise<Buffer> => sharp(file).removeAlpha().toColourspace('srgb').raw().toBuffer();
/** The mean difference of two pictures' samples, 0–255. */
async function difference(a: Buffer, b: Buffer): Promise<number> {
  const [one, other] = [await pixelsOf(a), await pixelsOf(b)];
  expect(one.length).toBe(other.length);
  return one.reduce((sum, value, i) => sum + Math.abs(value - other[i]!), 0) / one.length;
}
const codeOf = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
    return 'a picture';
  } catch (error) {
    if (!isPictureFailure(error)) throw error;
    return error.code;
  }
};
const verdictOf = (file: Buffer, declaredType?: string): Promise<string> =>
  codeOf(pictures.process(file, { blurLevel: 0, declaredType }));

describe('pictures as they should be', () => {
  test.each(kinds.flatMap((kind) => ([0, 1, 2, 3] as const).map((level) => [kind, level] as const)))(
    '%s at level %d becomes WebP of its own size, with a thumbnail that is not larger',
    async (kind, blurLevel) => {
      const result = await pictures.process(files[kind], { blurLevel, declaredType: `image/${kind}` });
      expect(result).toMatchObject({ contentType: 'image/webp', width: 96, height: 64 });
      for (const file of [result.picture, result.thumbnail])
        expect(await sharp(file).metadata()).toMatchObject({ format: 'webp', width: 96, height: 64 });
    },
  );

  test('the thumbnail is 640 wide, or narrower where the picture is very high; a path is as good as bytes', async () => {
    const file = path.join(dir, 'wide');
    for (const [width, height, expected] of [
      [1_920, 1_080, { width: 640, height: 360 }],
      [300, 3_000, { width: 128, height: 1_280 }],
      [3_000, 1, { width: 640, height: 1 }],
    ] as const) {
      await writeFile(file, await quarters(width, height));
      for (const blurLevel of [0, 2] as const) {
        const { thumbnail, ...size } = await pictures.process(file, { blurLevel });
        expect(size).toMatchObject({ width, height });
        expect(await sharp(thumbnail).metadata()).toMatchObject(expected);
      }
    }
  });

  test.each([
    ['five displays of 4K in a row', 19_200, 2_160, 0, { width: 16_383, height: 1_843 }],
    ['six of them', 23_040, 2_160, 2, { width: 16_383, height: 1_536 }],
    ['a scrolled page', 1_290, 19_854, 0, { width: 1_064, height: 16_383 }],
    ['a hair', 1, 60_000, 3, { width: 1, height: 16_383 }],
  ] as const)('%s: as large as its format takes', async (_, width, height, blurLevel, expected) => {
    const file = await sharp({ create: { width, height, channels: 3, background: '#369' } })
      .png()
      .toBuffer();
    const patient = openPictures({ ...defaultPictureLimits, timeoutSeconds: 600 });
    const { picture, thumbnail, ...size } = await patient.process(file, { blurLevel });
    expect(size).toMatchObject(expected);
    expect(await sharp(picture).metadata()).toMatchObject(expected);
    expect((await sharp(thumbnail).metadata()).width).toBeLessThanOrEqual(640);
  });

  test('the thumbnail of a blurred picture is as blurred as the picture', async () => {
    const stripes = sharp({ create: { width: 1_920, height: 1_080, channels: 3, background: '#fff' } }).composite([
      { input: { create: { width: 6, height: 1_080, channels: 3, background: '#000' } }, left: 960, top: 0 },
    ]);
    const { picture, thumbnail } = await pictures.process(await stripes.png().toBuffer(), { blurLevel: 2 });
    const small = await sharp(picture).resize(640).png().toBuffer();
    expect(await difference(small, thumbnail)).toBeLessThan(1.5);
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8])('EXIF orientation %d: the picture is upright', async (orientation) => {
    const upright = await quarters();
    const turned =
      orientation <= 4
        ? upright
        : await sharp(upright)
            .rotate(orientation === 8 ? 90 : orientation === 6 ? 270 : 90)
            .png()
            .toBuffer();
    const stored = sharp(turned);
    if (orientation === 2 || orientation === 5) stored.flop();
    if (orientation === 4 || orientation === 7) stored.flip();
    if (orientation === 3) stored.rotate(180);
    for (const kind of ['jpeg', 'png', 'webp'] as const) {
      const file = await stored.clone().withMetadata({ orientation }).toFormat(kind, { quality: 95 }).toBuffer();
      for (const blurLevel of [0, 1] as const) {
        const result = await pictures.process(file, { blurLevel });
        expect(result).toMatchObject({ width: 96, height: 64 });
        expect((await sharp(result.picture).metadata()).orientation).toBeUndefined();
        expect(await difference(result.picture, upright)).toBeLessThan(blurLevel === 0 ? 8 : 25);
      }
    }
  });

  test('nothing of EXIF, place, XMP and colour profile is left, and the colours are converted', async () => {
    const secret = 'Nobody-shall-read-this';
    const file = await sharp(await quarters())
      .withIccProfile('p3')
      .withExif({ IFD0: { Artist: secret }, IFD3: { GPSLatitude: '52/1 31/1 0/1', GPSLatitudeRef: 'N' } })
      .withXmp(`<x:xmpmeta xmlns:x="adobe:ns:meta/"><a>${secret}</a></x:xmpmeta>`)
      .jpeg({ quality: 98 })
      .toBuffer();
    expect(file.includes(secret)).toBe(true);
    const result = await pictures.process(file, { blurLevel: 0 });
    for (const made of [result.picture, result.thumbnail]) {
      const metadata = await sharp(made).metadata();
      for (const kind of ['exif', 'xmp', 'iptc', 'icc'] as const) expect(metadata[kind]).toBeUndefined();
      expect(made.includes(secret)).toBe(false);
    }
    // The profile was made from sRGB; read with it, the colours are the first ones again.
    expect(await difference(result.picture, await quarters())).toBeLessThan(8);
  });

  test.each([
    ['CMYK', () => sharp(files.png).toColourspace('cmyk').jpeg({ quality: 95 })],
    ['16 bits', () => sharp(files.png).toColourspace('rgb16').png()],
    ['palette', () => sharp(files.png).png({ palette: true })],
    ['interlaced', () => sharp(files.png).png({ progressive: true })],
    ['progressive', () => sharp(files.png).jpeg({ progressive: true, quality: 95 })],
    ['alpha', () => sharp(files.png).ensureAlpha().webp()],
  ])('%s is read', async (_, make) => {
    const result = await pictures.process(await make().toBuffer(), { blurLevel: 0 });
    // CMYK has less bright colours.
    expect(await difference(result.picture, files.png)).toBeLessThan(25);
  });

  test('grey is read; what is transparent is white, whatever colour it hides', async () => {
    const grey = await sharp(files.png).greyscale().toColourspace('b-w').png().toBuffer();
    expect(await difference((await pictures.process(grey, { blurLevel: 1 })).picture, grey)).toBeLessThan(20);
    const hidden = await sharp({ create: { width: 20, height: 20, channels: 4, background: '#ff000000' } })
      .png()
      .toBuffer();
    const { picture } = await pictures.process(hidden, { blurLevel: 0 });
    expect(Math.min(...(await pixelsOf(picture)))).toBeGreaterThan(250);
  });

  test.each(kinds)('what hangs behind the end of a %s is gone', async (kind) => {
    const tail = 'PK\u0003\u0004<html><script>alert(1)</script>';
    const file = Buffer.concat([files[kind], Buffer.from(tail)]);
    const { picture, thumbnail } = await pictures.process(file, { blurLevel: 0 });
    for (const made of [picture, thumbnail]) expect(made.includes('script')).toBe(false);
  });

  test('8 MB of metadata are read past', async () => {
    const comment = Buffer.alloc(4 + 65_533, 'x');
    comment.set([0xff, 0xfe, 0xff, 0xff]);
    const jpeg = Buffer.concat([
      files.jpeg.subarray(0, 2),
      ...Array<Buffer>(128).fill(comment),
      files.jpeg.subarray(2),
    ]);
    const { picture } = await pictures.process(jpeg, { blurLevel: 0 });
    expect(picture.length).toBeLessThan(10_000);
  });
});

describe('pictures that are refused', () => {
  test.each(kinds.flatMap((kind) => [0.3, 0.5, 0.9].map((part) => [kind, part] as const)))(
    'a %s of which %d arrived is CORRUPT at every level',
    async (kind, part) => {
      const cut = files[kind].subarray(0, Math.floor(files[kind].length * part));
      for (const blurLevel of [0, 3] as const)
        expect(await codeOf(pictures.process(cut, { blurLevel }))).toBe('CORRUPT');
    },
  );

  test('no bytes', async () => {
    expect(await verdictOf(Buffer.alloc(0))).toBe('EMPTY');
    await writeFile(path.join(dir, 'empty'), '');
    expect(await codeOf(pictures.process(path.join(dir, 'empty'), { blurLevel: 0 }))).toBe('EMPTY');
  });

  test('another type than was declared', async () => {
    expect(await verdictOf(files.png, 'image/jpeg')).toBe('TYPE_MISMATCH');
  });

  test('SVG, GIF, PDF, TIFF, text and zeros are not even shown to a decoder', async () => {
    const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>');
    const tiff = await sharp(files.png).tiff().toBuffer();
    for (const file of [
      svg,
      await animated('gif'),
      Buffer.from('%PDF-1.7'),
      tiff,
      Buffer.from('hi'),
      Buffer.alloc(9_000),
    ])
      expect(await verdictOf(file)).toBe('UNSUPPORTED_TYPE');
    // And could not be reached if they were.
    for (const file of [svg, tiff, await animated('gif')])
      await expect(sharp(file).metadata()).rejects.toThrow('unsupported');
  });

  test('the head of one type before the body of another', async () => {
    const heads = [
      Buffer.from([0xff, 0xd8, 0xff]),
      files.png.subarray(0, 16),
      files.webp.subarray(0, 16),
      files.avif.subarray(0, 40),
    ];
    for (const head of heads)
      expect(await verdictOf(Buffer.concat([head, Buffer.from('<svg/>'.repeat(99))]))).toBe('CORRUPT');
  });

  test('animations', async () => {
    expect(await verdictOf(await animated('webp'))).toBe('ANIMATED');
    expect(await verdictOf(withChunks(files.png, pngChunk('acTL', Buffer.alloc(8, 1))))).toBe('ANIMATED');
    const sequence = Buffer.from(files.avif);
    sequence.write('avis', 8, 'latin1');
    expect(await verdictOf(sequence)).toBe('ANIMATED');
  });

  test('more pixels than are accepted, by the header alone', async () => {
    expect(await verdictOf(pngBomb(20_000, 20_000))).toBe('TOO_MANY_PIXELS');
    expect(await verdictOf(claimSize(files.jpeg, 65_000, 65_000))).toBe('TOO_MANY_PIXELS');
    expect(await verdictOf(pngBomb(70_000, 10))).toBe('TOO_MANY_PIXELS');
    // A claim within the limit costs what it claims; what is missing before a proper end of the file is grey.
    expect(await verdictOf(claimSize(files.jpeg, 2_000, 2_000))).toBe('a picture');
  });

  test('a PNG of chunks without end', async () => {
    const chunks = Array<Buffer>(5_000).fill(pngChunk('teSt', Buffer.alloc(0)));
    expect(await verdictOf(withChunks(files.png, ...chunks))).toBe('CORRUPT');
  });

  test('a picture that takes longer than it may; the next one is none the worse', async () => {
    const hurried = { ...defaultPictureLimits, maxPixels: 300_000_000, timeoutSeconds: 0.001 };
    for (const blurLevel of [0, 3] as const)
      expect(await codeOf(openPictures(hurried).process(pngBomb(8_000, 8_000), { blurLevel }))).toBe('TOO_SLOW');
    expect(await verdictOf(files.png)).toBe('a picture');
  });

  test('a file that is not there is no verdict on a picture', async () => {
    const missing = pictures.process(path.join(dir, 'missing'), { blurLevel: 0 });
    await expect(missing).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('whatever is done to a file: a picture or a code', async () => {
    // A header that claims some million pixels is as good a test as fifty, and quicker.
    // And with time: what is asked is what the file is, not how busy the machine is.
    const small = openPictures({ ...defaultPictureLimits, maxPixels: 1_000_000, timeoutSeconds: 600 });
    const change = fc.record({
      at: fc.integer({ min: 0, max: 999 }),
      how: fc.constantFrom('flip', 'cut', 'insert'),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 40 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...kinds),
        fc.array(change, { minLength: 1, maxLength: 4 }),
        fc.constantFrom(0 as const, 2 as const),
        async (kind, changes, blurLevel) => {
          let file = Buffer.from(files[kind]);
          for (const { at, how, bytes } of changes) {
            const place = Math.floor((at / 1_000) * file.length);
            if (how === 'flip')
              for (const [i, byte] of bytes.entries()) if (place + i < file.length) file[place + i]! ^= byte;
            if (how === 'cut') file = Buffer.concat([file.subarray(0, place), file.subarray(place + bytes.length)]);
            if (how === 'insert') file = Buffer.concat([file.subarray(0, place), bytes, file.subarray(place)]);
          }
          const code = await codeOf(small.process(file, { blurLevel }));
          expect(code).toMatch(/^(a picture|EMPTY|UNSUPPORTED_TYPE|ANIMATED|TOO_MANY_PIXELS|CORRUPT)$/);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('sniffPicture', () => {
  test('tells the four by their bytes, from heads of any length', () => {
    for (const kind of kinds) {
      expect(sniffPicture(files[kind])).toBe(`image/${kind}`);
      expect(sniffPicture(files[kind].subarray(0, 40))).toBe(`image/${kind}`);
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (head) => void sniffPicture(head)));
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 64 }),
        (rest) => void sniffPicture(Buffer.concat([files.avif.subarray(0, 8), rest])),
      ),
    );
  });

  test('HEIC is none of them, a video neither', () => {
    const box = (...brands: string[]): Buffer => {
      const content = Buffer.from(`\0\0\0\0ftyp${brands[0]}\0\0\0\0${brands.slice(1).join('')}`, 'latin1');
      content.writeUInt32BE(content.length);
      return content;
    };
    expect(sniffPicture(box('heic', 'mif1', 'heic'))).toBeUndefined();
    expect(sniffPicture(box('isom', 'mp42'))).toBeUndefined();
    expect(sniffPicture(box('mif1', 'miaf', 'avif'))).toBe('image/avif');
    expect(isAvifSequence(box('avis', 'avif'))).toBe(true);
  });
});
