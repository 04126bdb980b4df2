import sharp from 'sharp';

/**
 * The standard deviation of a picture's Laplacian (four neighbours, grey of 8 bits): how much fine detail there is.
 */
export async function sharpnessOf(file: Buffer): Promise<number> {
  const { data, info } = await sharp(file).greyscale().raw().toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  const across = channels;
  const down = width * channels;
  let sum = 0;
  let squares = 0;
  for (let y = 1; y < height - 1; y++) {
    for (let x = 1; x < width - 1; x++) {
      const at = y * down + x * across;
      const value = data[at - across]! + data[at + across]! + data[at - down]! + data[at + down]! - 4 * data[at]!;
      sum += value;
      squares += value * value;
    }
  }
  const count = Math.max(1, (width - 2) * (height - 2));
  return Math.sqrt(Math.max(0, squares / count - (sum / count) ** 2));
}

const cells = 8;

/**
 * How far apart two pictures are when each is reduced to 8 × 8 colours, 0 to 255: what a blur leaves alone, and
 * enough to tell one desktop from another.
 */
export async function distanceOf(one: Buffer, other: Buffer): Promise<number> {
  const [a, b] = await Promise.all([one, other].map(reduced));
  return a!.reduce((sum, value, i) => sum + Math.abs(value - b![i]!), 0) / a!.length;
}

const reduced = (file: Buffer): Promise<Buffer> =>
  sharp(file)
    .flatten()
    .toColourspace('srgb')
    .resize({ width: cells, height: cells, fit: 'fill', kernel: 'linear' })
    .raw()
    .toBuffer();
