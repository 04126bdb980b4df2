import { parseArgs } from 'node:util';
import { type BlurLevel, openPictures } from '@worktide/screenshot-processor/picture';
import sharp from 'sharp';

/**
 * A process of its own, so that its peak of memory is that of the pictures: converts the given files for some seconds, by our `process` or by the same calls of sharp written out, and prints the pictures a second and the peak.
 */
const { values, positionals: files } = parseArgs({
  allowPositionals: true,
  options: {
    how: { type: 'string', default: 'ours' },
    width: { type: 'string', default: '1920' },
    height: { type: 'string', default: '1080' },
    level: { type: 'string', default: '2' },
    seconds: { type: 'string', default: '4' },
    concurrency: { type: 'string', default: '5' },
  },
});
const [width, height] = [Number(values.width), Number(values.height)];
const level = Number(values.level) as BlurLevel;
const convert = values.how === 'ours' ? ours() : bare;
await convert(files[0]!);
let done = 0;
const startedAt = performance.now();
const end = startedAt + Number(values.seconds) * 1_000;
const worker = async (first: number): Promise<void> => {
  for (let i = first; performance.now() < end; i++, done++) await convert(files[i % files.length]!);
};
await Promise.all(Array.from({ length: Number(values.concurrency) }, (_, i) => worker(i)));
const rate = (done / (performance.now() - startedAt)) * 1_000;
process.stdout.write(JSON.stringify({ rate, peakMiB: process.resourceUsage().maxRSS / 1_024 }));

function ours(): (file: string) => Promise<unknown> {
  const pictures = openPictures();
  return (file) => pictures.process(file, { blurLevel: level });
}

/** For screenshots of 16:9 at level 0 or 2 alone: no checks, no other sizes, no codes. */
async function bare(file: string): Promise<void> {
  sharp.concurrency(1);
  sharp.cache(false);
  const decoded = sharp(file, { sequentialRead: true }).autoOrient().flatten({ background: '#fff' });
  if (level === 0) {
    await decoded.clone().webp({ quality: 80, effort: 0 }).toBuffer();
    await decoded.clone().resize({ width: 640 }).webp({ quality: 75, effort: 2 }).toBuffer();
    return;
  }
  const { data, info } = await decoded
    .resize({ width: 160, height: 90, fit: 'fill' })
    .blur({ sigma: 2, precision: 'float', minAmplitude: 0.01 })
    .raw()
    .toBuffer({ resolveWithObject: true });
  const enlarged = (w: number, h: number) => sharp(data, { raw: info }).resize(w, h, { fit: 'fill', kernel: 'linear' });
  await enlarged(width, height).webp({ quality: 80, effort: 0 }).toBuffer();
  await enlarged(640, 360).webp({ quality: 75, effort: 2 }).toBuffer();
}
