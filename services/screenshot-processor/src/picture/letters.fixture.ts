import sharp from 'sharp';

// Taken once: Jest looks globals up in its sandbox each time, a hundred times as slow as the arithmetic.
const { ceil, floor, hypot, imul, max, min, round, sqrt } = Math;

/**
 * Letters as strokes on a grid of 4 × 6 (x to the right, y down; the body is from 2 to 6), so that text of any size has
 * the smooth edges of real fonts on machines without any. Each letter is a list of lines, each a list of points.
 */
const strokes: Record<string, string> = {
  a: '42 46 44 32 12 03 05 16 36 45',
  b: '00 06 16 36 45 43 32 12 03',
  c: '43 32 12 03 05 16 36 45',
  d: '40 46 36 16 05 03 12 32 43',
  e: '04 44 43 32 12 03 05 16 36 45',
  f: '30 20 11 16|02 22',
  h: '00 06|03 12 32 43 46',
  i: '12 16|10 11',
  k: '00 06|42 04 46',
  l: '10 15 26',
  m: '02 06|03 12 23 26|23 32 43 46',
  n: '02 06|03 12 32 43 46',
  o: '12 32 43 45 36 16 05 03 12',
  r: '02 06|04 12 32 43',
  s: '43 32 12 03 14 34 45 36 16 05',
  t: '10 15 26 36|02 32',
  u: '02 05 16 36 45|42 46',
  v: '02 26 42',
  w: '02 16 24 36 42',
  x: '02 46|42 06',
  z: '02 42 06 46',
};
export const alphabet = Object.keys(strokes).join('');

export interface Grey {
  width: number;
  height: number;
  /** Brightness 0–255 by row. */
  data: Float32Array;
}

export const createGrey = (width: number, height: number, brightness: number): Grey => ({
  width,
  height,
  data: new Float32Array(width * height).fill(brightness),
});

/** One letter of a font of so many pixels as coverage 0–1; the strokes are a tenth of the size. */
function drawLetter(letter: string, size: number): Grey {
  const unit = size / 8;
  const cell = createGrey(ceil(6 * unit), ceil(size), 0);
  const lines = (strokes[letter] ?? '').split('|').map((line) =>
    line
      .split(' ')
      .filter((point) => point !== '')
      .map((point) => [(Number(point[0]) + 0.7) * unit, (Number(point[1]) + 0.7) * unit] as const),
  );
  for (let y = 0; y < cell.height; y++) {
    for (let x = 0; x < cell.width; x++) {
      let nearest = 1e9;
      for (const line of lines) {
        for (let i = 1; i < line.length; i++)
          nearest = min(nearest, toSegment(x + 0.5, y + 0.5, line[i - 1]!, line[i]!));
      }
      cell.data[y * cell.width + x] = max(0, min(1, size / 20 + 0.5 - nearest));
    }
  }
  return cell;
}

type Point = readonly [number, number];
function toSegment(x: number, y: number, [ax, ay]: Point, [bx, by]: Point): number {
  const [dx, dy] = [bx - ax, by - ay];
  const along = max(0, min(1, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1)));
  return hypot(x - ax - along * dx, y - ay - along * dy);
}

export interface TextStyle {
  size: number;
  ink: number;
  paper: number;
}

/** A page full of words, the same for the same salt. */
export function drawText(width: number, height: number, { size, ink, paper }: TextStyle, salt = 1): Grey {
  const page = createGrey(width, height, paper);
  const cells = new Map(Array.from(alphabet, (letter) => [letter, drawLetter(letter, size)]));
  let state = salt;
  const chance = (below: number): number => {
    state = (imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return floor((state / 2 ** 32) * below);
  };
  for (let top = size; top + 2 * size < height; top += round(size * 1.4)) {
    let left = size;
    while (left + 2 * size < width) {
      const letter = chance(6) === 0 ? ' ' : alphabet[chance(alphabet.length)]!;
      const cell = cells.get(letter);
      if (cell !== undefined) stamp(page, cell, left, top, ink);
      left += round(size * 0.7);
    }
  }
  return page;
}

/** One word, as a heading or a number stands alone. */
export function drawWord(page: Grey, word: string, left: number, top: number, { size, ink }: TextStyle): void {
  Array.from(word).forEach((letter, i) => {
    stamp(page, drawLetter(letter, size), left + round(i * size * 0.7), top, ink);
  });
}

function stamp(page: Grey, cell: Grey, left: number, top: number, ink: number): void {
  for (let y = 0; y < cell.height; y++) {
    for (let x = 0; x < cell.width; x++) {
      const at = (top + y) * page.width + left + x;
      page.data[at]! += (ink - page.data[at]!) * cell.data[y * cell.width + x]!;
    }
  }
}

export const toPng = ({ width, height, data }: Grey): Promise<Buffer> =>
  sharp(Buffer.from(data.map((value) => round(value))), { raw: { width, height, channels: 1 } })
    .png({ compressionLevel: 1 })
    .toBuffer();

/** The brightness of a picture file. */
export async function toGrey(file: Buffer): Promise<Grey> {
  const { data, info } = await sharp(file).greyscale().raw().toBuffer({ resolveWithObject: true });
  const grey = createGrey(info.width, info.height, 0);
  for (let i = 0; i < grey.data.length; i++) grey.data[i] = data[i * info.channels]!;
  return grey;
}

/** Standard deviation of the Laplacian (4 neighbours): how much fine detail there is. */
export function sharpness({ width, height, data }: Grey): number {
  let sum = 0;
  let squares = 0;
  for (let y = 1; y < height - 1; y++) {
    for (let x = 1; x < width - 1; x++) {
      const at = y * width + x;
      const value = data[at - 1]! + data[at + 1]! + data[at - width]! + data[at + width]! - 4 * data[at]!;
      sum += value;
      squares += value * value;
    }
  }
  const count = (width - 2) * (height - 2);
  return sqrt(squares / count - (sum / count) ** 2);
}

/** The mean of a square window around each pixel, by running sums. */
function boxMean(grey: Grey, radius: number): Grey {
  const pass = (source: Float32Array, length: number, lines: number, step: number, lineStep: number): Float32Array => {
    const result = new Float32Array(source.length);
    for (let line = 0; line < lines; line++) {
      const at = (i: number): number => line * lineStep + max(0, min(length - 1, i)) * step;
      let sum = 0;
      for (let i = -radius; i <= radius; i++) sum += source[at(i)]!;
      for (let i = 0; i < length; i++) {
        result[at(i)] = sum / (2 * radius + 1);
        sum += source[at(i + radius + 1)]! - source[at(i - radius)]!;
      }
    }
    return result;
  };
  const { width, height } = grey;
  const rows = pass(grey.data, width, height, 1, width);
  return { width, height, data: pass(rows, height, width, width, 1) };
}

const combine = (a: Grey, b: Grey, how: (a: number, b: number) => number): Grey => ({
  ...a,
  data: a.data.map((value, i) => how(value, b.data[i]!)),
});

/** What is between a stroke and a letter in size: the detail by which letters of a font are told apart. */
export const letterBand = (grey: Grey, size: number): Grey =>
  combine(boxMean(grey, max(0, round(size / 20))), boxMean(grey, max(1, round(size / 4))), (a, b) => a - b);

/** Pearson's correlation of two pictures of one size. */
export function correlation(a: Grey, b: Grey): number {
  const mean = ({ data }: Grey): number => data.reduce((sum, value) => sum + value, 0) / data.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  let [both, ofA, ofB] = [0, 0, 0];
  for (let i = 0; i < a.data.length; i++) {
    const [x, y] = [a.data[i]! - meanA, b.data[i]! - meanB];
    both += x * y;
    ofA += x * x;
    ofB += y * y;
  }
  return ofA === 0 || ofB === 0 ? 0 : both / sqrt(ofA * ofB);
}

/** Unsharp masking far beyond taste, and iterative deconvolution (Van Cittert) that knows roughly what was done. */
export const restorations: Record<string, (grey: Grey, radius: number) => Grey> = {
  'unsharp mask': (grey, radius) => combine(grey, boxMean(grey, radius), (value, mean) => value + 20 * (value - mean)),
  deconvolution: (grey, radius) => {
    // Three boxes are nearly a Gaussian.
    const blurred = (guess: Grey): Grey => boxMean(boxMean(boxMean(guess, radius), radius), radius);
    let guess = grey;
    for (let i = 0; i < 8; i++) {
      const again = blurred(guess);
      guess = { ...guess, data: guess.data.map((value, n) => value + grey.data[n]! - again.data[n]!) };
    }
    return guess;
  },
};
