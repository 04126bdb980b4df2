import sharp from 'sharp';
import { glyphHeight, glyphOf, glyphWidth } from './bitmap-font.ts';
import { createRandom, type Random } from './random.ts';

export interface ScreenshotOptions {
  width: number;
  height: number;
  /** What screenshot tools write is PNG; JPEG is what agents on slow lines send. */
  format?: 'png' | 'jpeg';
}

type Colour = readonly [red: number, green: number, blue: number];
interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}
interface Theme {
  page: Colour;
  bar: Colour;
  panel: Colour;
  ink: Colour;
  faint: Colour;
}

const light: Theme = {
  page: [255, 255, 255],
  bar: [222, 225, 230],
  panel: [243, 244, 246],
  ink: [32, 33, 36],
  faint: [95, 99, 104],
};
const dark: Theme = {
  page: [30, 30, 34],
  bar: [50, 50, 56],
  panel: [37, 37, 42],
  ink: [212, 212, 212],
  faint: [128, 134, 139],
};
const accents: readonly Colour[] = [
  [26, 115, 232],
  [217, 48, 37],
  [24, 128, 56],
  [227, 116, 0],
  [147, 52, 230],
];
const words =
  'the report of this week shows more work on order 4711 and less on Billing, see (draft) page 12: Q3 = 98.4 per team - ' +
  'const total sum(items) return null Import from users/list Send mail to Jo before Friday Meeting notes Next steps';
const vocabulary = words.split(' ');

/** Pixels in rows of red, green and blue, and the three things that are drawn into them. */
function createCanvas(width: number, height: number) {
  const pixels = Buffer.alloc(width * height * 3);

  function fill(box: Box, [red, green, blue]: Colour): void {
    const left = Math.max(0, box.x);
    const right = Math.min(width, box.x + box.width);
    const top = Math.max(0, box.y);
    const bottom = Math.min(height, box.y + box.height);
    if (left >= right || top >= bottom) return;
    const first = (top * width + left) * 3;
    const bytes = (right - left) * 3;
    for (let at = first; at < first + bytes; at += 3) {
      pixels[at] = red;
      pixels[at + 1] = green;
      pixels[at + 2] = blue;
    }
    for (let y = top + 1; y < bottom; y++) pixels.copyWithin((y * width + left) * 3, first, first + bytes);
  }

  function gradient(box: Box, from: Colour, to: Colour): void {
    for (let y = 0; y < box.height; y++) {
      const part = y / box.height;
      const at = (i: 0 | 1 | 2): number => Math.round(from[i] + (to[i] - from[i]) * part);
      fill({ ...box, y: box.y + y, height: 1 }, [at(0), at(1), at(2)]);
    }
  }

  /** @returns where the text ends; what does not fit before `right` is left out. */
  function text(line: string, x: number, y: number, size: number, colour: Colour, right = width): number {
    let left = x;
    for (const character of line) {
      if (left + glyphWidth * size > right) break;
      glyphOf(character)?.forEach((row, i) => {
        for (let column = 0; column < glyphWidth; column++) {
          if ((row >> (glyphWidth - 1 - column)) & 1)
            fill({ x: left + column * size, y: y + i * size, width: size, height: size }, colour);
        }
      });
      left += (glyphWidth + 1) * size;
    }
    return left;
  }

  return { pixels, fill, gradient, text };
}
type Canvas = ReturnType<typeof createCanvas>;

const phrase = (random: Random, count: number): string =>
  Array.from({ length: count }, () => random.pick(vocabulary)).join(' ');

const inset = (box: Box, by: number): Box => ({
  x: box.x + by,
  y: box.y + by,
  width: box.width - 2 * by,
  height: box.height - 2 * by,
});

function drawLines(canvas: Canvas, random: Random, box: Box, theme: Theme, size: number): void {
  const step = (glyphHeight + 4) * size;
  const accent = random.pick(accents);
  let indent = 0;
  for (let y = box.y; y + step <= box.y + box.height; y += step) {
    if (random.chance(0.12)) continue;
    indent = Math.max(0, Math.min(4, indent + random.int(-1, 1)));
    const x = box.x + indent * 2 * (glyphWidth + 1) * size;
    const colour = random.chance(0.15) ? accent : random.chance(0.2) ? theme.faint : theme.ink;
    canvas.text(phrase(random, random.int(2, 12)), x, y, size, colour, box.x + box.width);
  }
}

function drawTable(canvas: Canvas, random: Random, box: Box, theme: Theme, size: number): void {
  const step = (glyphHeight + 7) * size;
  const columns = random.int(3, 7);
  const columnWidth = Math.floor(box.width / columns);
  for (let y = box.y, row = 0; y + step <= box.y + box.height; y += step, row++) {
    if (row % 2 === 0) canvas.fill({ ...box, y: y - 3 * size, height: step }, theme.panel);
    for (let column = 0; column < columns; column++) {
      const x = box.x + column * columnWidth + 4 * size;
      const cell = column === 0 ? phrase(random, 2) : `${random.int(0, 9_999)}.${random.int(10, 99)}`;
      canvas.text(cell, x, y, size, row === 0 ? theme.faint : theme.ink, x + columnWidth - 8 * size);
    }
  }
}

function drawCards(canvas: Canvas, random: Random, box: Box, theme: Theme, size: number): void {
  const side = 120 * size;
  for (let y = box.y; y + side <= box.y + box.height; y += side + 12 * size) {
    for (let x = box.x; x + side <= box.x + box.width; x += side + 12 * size) {
      canvas.gradient({ x, y, width: side, height: side - 30 * size }, random.pick(accents), random.pick(accents));
      canvas.text(phrase(random, 3), x, y + side - 22 * size, size, theme.ink, x + side);
    }
  }
}

function drawWindow(canvas: Canvas, random: Random, box: Box, scale: number): void {
  const theme = random.chance(0.5) ? light : dark;
  const bar = 30 * scale;
  canvas.fill(inset(box, -scale), theme.faint);
  canvas.fill(box, theme.page);
  canvas.fill({ ...box, height: bar }, theme.bar);
  canvas.text(phrase(random, 3), box.x + 10 * scale, box.y + 11 * scale, scale, theme.ink, box.x + box.width / 2);
  for (let i = 0; i < 3; i++) {
    const button = { x: box.x + box.width - (i + 1) * 24 * scale, y: box.y + 9 * scale };
    canvas.fill({ ...button, width: 12 * scale, height: 12 * scale }, accents[i]!);
  }
  const side = random.chance(0.7) ? Math.floor(box.width / 5) : 0;
  const below = { ...box, y: box.y + bar, height: box.height - bar };
  canvas.fill({ ...below, width: side }, theme.panel);
  if (side > 0) drawLines(canvas, random, inset({ ...below, width: side }, 10 * scale), theme, scale);
  const content = inset({ ...below, x: box.x + side, width: box.width - side }, 16 * scale);
  canvas.text(phrase(random, 4), content.x, content.y, 4 * scale, theme.ink, content.x + content.width);
  const rest = { ...content, y: content.y + 44 * scale, height: content.height - 44 * scale };
  const draw = random.pick([drawLines, drawLines, drawTable, drawCards]);
  draw(canvas, random, rest, theme, random.chance(0.3) ? 2 * scale : scale);
}

/**
 * A believable desktop: wallpaper, a bar, some windows with text, tables and pictures. The same seed and size give the
 * same pixels on every machine. On one core 1080p takes some 10 ms to draw and 40 ms to compress, 4K four times that.
 */
export async function drawScreenshot(seed: string | number, options: ScreenshotOptions): Promise<Buffer> {
  const { width, height, format = 'png' } = options;
  const random = createRandom('screenshot', seed);
  const canvas = createCanvas(width, height);
  // A 4K display shows the same things in twice the pixels.
  const scale = Math.max(1, Math.round(Math.min(width, height) / 1080));
  canvas.gradient({ x: 0, y: 0, width, height }, random.pick(accents), [20, 30, 60]);
  const bar = 40 * scale;
  for (let i = random.int(2, 4); i > 0; i--) {
    const size = {
      width: Math.floor(width * (0.4 + 0.5 * random.next())),
      height: Math.floor((height - bar) * (0.4 + 0.5 * random.next())),
    };
    const x = random.int(0, width - size.width);
    drawWindow(canvas, random, { x, y: random.int(0, Math.max(0, height - bar - size.height)), ...size }, scale);
  }
  canvas.fill({ x: 0, y: height - bar, width, height: bar }, dark.bar);
  for (let i = 0; i < 8; i++) {
    canvas.fill(
      { x: (12 + i * 44) * scale, y: height - 32 * scale, width: 24 * scale, height: 24 * scale },
      random.pick(accents),
    );
  }
  const clock = `${random.int(8, 18)}:${random.int(10, 59)}`;
  canvas.text(clock, width - 70 * scale, height - 27 * scale, 2 * scale, dark.ink);
  const picture = sharp(canvas.pixels, { raw: { width, height, channels: 3 } });
  return format === 'png' ? picture.png({ compressionLevel: 3 }).toBuffer() : picture.jpeg({ quality: 85 }).toBuffer();
}
