import type { PictureType } from '@worktide/schemas';
import sharp, { type Metadata, type Sharp, type SharpOptions } from 'sharp';
import { type BlurLevel, reductionOf, type Size } from './blur.ts';
import { isPictureFailure, pictureFailure } from './failures.ts';
import { inspect } from './inspect.ts';
import { createPixelGate } from './pixel-gate.ts';

export interface PictureLimits {
  /** Of one picture. Six 4K displays side by side are 49.8 million; 20,000 × 20,000 is 400. */
  maxPixels: number;
  /** Of one AVIF, whose decoder holds the whole picture several times over: 49 million took 1.1 GiB and eight seconds. */
  maxAvifPixels: number;
  /** Pixels of one side, as many as JPEG has numbers for. */
  maxSide: number;
  /** Of all pictures in work at a time: what bounds the memory. Three of 4K, or fourteen of 1080p; two cores have no use for more. */
  maxPixelsAtOnce: number;
  /** Of the work on one picture, once it is its turn. */
  timeoutSeconds: number;
}

export const defaultPictureLimits: PictureLimits = {
  maxPixels: 50_000_000,
  maxAvifPixels: 20_000_000,
  maxSide: 65_535,
  maxPixelsAtOnce: 30_000_000,
  timeoutSeconds: 30,
};

export interface ProcessOptions {
  blurLevel: BlurLevel;
  /** The type that the upload declared, if it has to be the true one. */
  declaredType?: string | undefined;
  /** Whose it is: where more pixels than may be are in work, subjects come by turns. */
  subject?: string;
}

export interface ProcessedPicture {
  picture: Buffer;
  /** Of `picture` and of `thumbnail`. */
  contentType: 'image/webp';
  /** Of `picture` in pixels: upright, otherwise as it came, or smaller where WebP cannot hold it. */
  width: number;
  height: number;
  thumbnail: Buffer;
}

export interface Pictures {
  /**
   * An upright sRGB picture without metadata and its thumbnail, both blurred.
   * @param input the file's bytes, or the path of a local file, which keeps them out of memory.
   * @throws PictureFailure when the picture is at fault; anything else says nothing about the picture.
   */
  process(input: Buffer | string, options: ProcessOptions): Promise<ProcessedPicture>;
}

/** What sharp calls them. */
const formats: Record<PictureType, Metadata['format']> = {
  'image/jpeg': 'jpeg',
  'image/png': 'png',
  'image/webp': 'webp',
  'image/avif': 'heif',
};

/** The longest side that WebP can hold; a row of displays may be wider, a scrolled page longer. */
const maxWebpSide = 16_383;
const thumbnailSize = { width: 640, height: 1_280, fit: 'inside', withoutEnlargement: true } as const;
/**
 * WebP is less than half of JPEG for drawn text, and every browser shows it. More effort gains a tenth in size for twice
 * the time where pixels are many; the thumbnail, which is loaded most, can afford it.
 */
const pictureFormat = { quality: 80, effort: 0 } as const;
const thumbnailFormat = { quality: 75, effort: 2 } as const;

/**
 * Sets up the decoder for this process: sharp has one configuration for all. The four loaders are all that can be
 * reached, whatever the bytes look like; one thread a picture, so that pictures side by side are what uses the cores; no cache of
 * operations, because no picture comes twice.
 */
function setUpSharp(): void {
  sharp.block({ operation: ['VipsForeignLoad'] });
  sharp.unblock({
    operation: ['VipsForeignLoadJpeg', 'VipsForeignLoadPng', 'VipsForeignLoadWebp', 'VipsForeignLoadHeif'],
  });
  sharp.concurrency(1);
  sharp.cache(false);
}

const decodingOf = ({ maxPixels }: PictureLimits): SharpOptions => ({
  // Missing and impossible pixels refuse a picture; warnings do not, because many are about metadata we drop anyway.
  failOn: 'error',
  limitInputPixels: maxPixels,
  sequentialRead: true,
});

export function openPictures(limits: PictureLimits = defaultPictureLimits): Pictures {
  setUpSharp();
  const gate = createPixelGate(limits.maxPixelsAtOnce);
  const options = decodingOf(limits);

  return {
    async process(input, { blurLevel, declaredType, subject = '' }) {
      const type = await inspect(input, declaredType);
      const upright = await verdict(input, () => measure(input, type, limits), limits);
      const size = within(upright, { width: maxWebpSide, height: maxWebpSide });
      const turn = Promise.withResolvers<void>();
      const work = gate.run(subject, upright.width * upright.height, () => {
        turn.resolve();
        return verdict(input, () => convert(input, { size, scaled: size.width !== upright.width }, blurLevel), limits);
      });
      await turn.promise;
      return { contentType: 'image/webp', ...size, ...(await withinTime(work, limits.timeoutSeconds)) };
    },
  };

  async function convert(
    input: Buffer | string,
    { size, scaled }: { size: Size; scaled: boolean },
    level: BlurLevel,
  ): Promise<Pick<ProcessedPicture, 'picture' | 'thumbnail'>> {
    const timeout = { seconds: Math.ceil(limits.timeoutSeconds) };
    // White for what is transparent: colours under it, which no viewer shows, do not survive.
    const upright = (): Sharp =>
      sharp(input, options).autoOrient().flatten({ background: '#fff' }).toColourspace('srgb').timeout(timeout);
    const reduction = reductionOf(size, level);
    if (reduction === undefined) {
      return {
        picture: await (scaled ? upright().resize({ ...size, fit: 'fill' }) : upright()).webp(pictureFormat).toBuffer(),
        // From the file again: decoders that reduce while they read are quicker than reading our own result.
        thumbnail: await upright().resize(thumbnailSize).webp(thumbnailFormat).toBuffer(),
      };
    }
    const { data, info } = await upright()
      .resize({ width: reduction.width, height: reduction.height, fit: 'fill' })
      .blur({ sigma: reduction.sigma, precision: 'float', minAmplitude: 0.01 })
      .raw()
      .toBuffer({ resolveWithObject: true });
    const enlarged = (to: Size): Sharp =>
      // Linear, because twice the time buys nothing on what is smooth.
      sharp(data, { raw: info })
        .resize({ ...to, fit: 'fill', kernel: 'linear' })
        .timeout(timeout);
    return {
      picture: await enlarged(size).webp(pictureFormat).toBuffer(),
      thumbnail: await enlarged(within(size, thumbnailSize)).webp(thumbnailFormat).toBuffer(),
    };
  }
}

/** The upright size from the header alone. */
async function measure(input: Buffer | string, type: PictureType, limits: PictureLimits): Promise<Size> {
  // Without sharp's own bound, whose refusal could only be told by its text.
  const { format, pages = 1, width, height, autoOrient } = await sharp(input, { limitInputPixels: false }).metadata();
  if (formats[type] !== format) throw pictureFailure('CORRUPT', new Error(`${type} was read as ${format}`));
  if (pages > 1) throw pictureFailure('ANIMATED');
  const maxPixels = type === 'image/avif' ? limits.maxAvifPixels : limits.maxPixels;
  if (width * height > maxPixels || Math.max(width, height) > limits.maxSide)
    throw pictureFailure('TOO_MANY_PIXELS', new Error(`${width} × ${height}`));
  return autoOrient;
}

/** What sharp's `inside` without enlargement comes to. */
function within({ width, height }: Size, bounds: Size): Size {
  const scale = Math.min(1, bounds.width / width, bounds.height / height);
  const side = (pixels: number): number => Math.max(1, Math.round(pixels * scale));
  return { width: side(width), height: side(height) };
}

/**
 * The verdict comes in time whatever the decoder does. sharp's own timeout ends the work itself, but looks at the clock
 * only between strips of the result, which a reduced picture has one of; work that goes on keeps its pixels in the gate.
 */
async function withinTime<T>(work: Promise<T>, seconds: number): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(pictureFailure('TOO_SLOW')), seconds * 1_000);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * What is no fault of the picture's: the file was cleared away by somebody else, the result cannot be written, there is no
 * memory. Calling that damage would make us throw the upload away.
 */
const ourFailure =
  /^(Input file is missing|Processed image is too large|vips_tracked: out of memory)|No space left on device|Too many open files/;

/**
 * Whether decoding alone fails, of which the encoder has no part: the library's buffer of texts is one for all, and what it
 * says of the encoder may be another picture's, or what became of it when this one's decoder failed.
 */
async function isUndecodable(input: Buffer | string, limits: PictureLimits): Promise<boolean> {
  try {
    await sharp(input, decodingOf(limits)).resize({ width: 16, height: 16, fit: 'fill' }).raw().toBuffer();
    return false;
  } catch (error) {
    return !ourFailure.test(error instanceof Error ? error.message : '');
  }
}

/** What a decoder says of a picture as one of our codes. */
async function verdict<T>(input: Buffer | string, work: () => Promise<T>, limits: PictureLimits): Promise<T> {
  const began = performance.now();
  try {
    return await work();
  } catch (error) {
    if (isPictureFailure(error)) throw error;
    const text = error instanceof Error ? error.message : '';
    if (ourFailure.test(text)) throw error;
    if (text.startsWith('webpsave') && !(await isUndecodable(input, limits))) throw error;
    // By the clock as well: the library's buffer of texts is one for all, and may hold another picture's timeout.
    const isLate = text.includes('timeout:') && performance.now() - began >= limits.timeoutSeconds * 1_000;
    throw pictureFailure(isLate ? 'TOO_SLOW' : 'CORRUPT', error);
  }
}
