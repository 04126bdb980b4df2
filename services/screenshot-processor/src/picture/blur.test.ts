import { describe, expect, test } from '@jest/globals';
import { type BlurLevel, reductionOf } from './blur.ts';
import {
  correlation,
  createGrey,
  drawText,
  drawWord,
  type Grey,
  letterBand,
  restorations,
  sharpness,
  toGrey,
  toPng,
} from './letters.fixture.ts';
import { openPictures } from './picture.ts';

const pictures = openPictures();
const light = { ink: 30, paper: 255 };
const dark = { ink: 200, paper: 30 };
const blurred = async (page: Grey, blurLevel: BlurLevel): Promise<Grey> =>
  toGrey((await pictures.process(await toPng(page), { blurLevel })).picture);
/** A part of a 1080p display: the levels reduce it like the whole. */
const page = (size: number, theme = light, salt = 1): Grey => drawText(640, 420, { size, ...theme }, salt);

test.each([
  ['1080p, 10 px, light', 1920, 1080, 10, light],
  ['1080p, 16 px, dark', 1920, 1080, 16, dark],
  ['1080p, 48 px, light', 1920, 1080, 48, light],
  ['1080p, 48 px, dark', 1920, 1080, 48, dark],
  ['1080p, 16 px, grey on grey', 1920, 1080, 16, { ink: 120, paper: 140 }],
  ['4K, 20 px, light', 3840, 2160, 20, light],
])(
  'of the fine detail of text the levels leave less and less, 2 and 3 below 8 %%: %s',
  async (_, width, height, size, theme) => {
    const original = drawText(width, height, { size, ...theme });
    const left: number[] = [];
    for (const level of [0, 1, 2, 3] as const)
      left.push(sharpness(await blurred(original, level)) / sharpness(original));
    expect(left[0]).toBeGreaterThan(0.8);
    expect(left[1]).toBeLessThan(0.5);
    expect(left[2]).toBeLessThan(0.08);
    expect(left[3]).toBeLessThan(0.08);
    for (const level of [1, 2, 3]) expect(left[level]).toBeLessThan(left[level - 1]!);
  },
);

describe('what is left of letters', () => {
  test.each([10, 12, 16])('level 1: body text of %d px is a line, by the detail of its letters', async (size) => {
    const original = page(size);
    const detail = letterBand(await blurred(original, 1), size);
    expect(correlation(letterBand(original, size), detail)).toBeLessThan(0.25);
  });

  test('level 1: a heading of 48 px is recognisable', async () => {
    const original = page(48);
    const detail = letterBand(await blurred(original, 1), 48);
    expect(correlation(letterBand(original, 48), detail)).toBeGreaterThan(0.6);
  });

  test.each(
    [16, 48].flatMap((size) =>
      ([2, 3] as const).flatMap((level) => [light, dark].map((theme) => [level, size, theme] as const)),
    ),
  )('level %d, %d px, %o: none, nor after attempts to restore it', async (level, size, theme) => {
    const original = page(size, theme);
    const wanted = letterBand(original, size);
    const result = await blurred(original, level);
    // Letters of another text in the same places: what they share is where lines and gaps are, and not which letters.
    expect(Math.abs(correlation(wanted, letterBand(result, size)))).toBeLessThan(0.1);
    for (const restore of Object.values(restorations)) {
      const restored = restore(result, level === 2 ? 12 : 24);
      expect(Math.abs(correlation(wanted, letterBand(restored, size)))).toBeLessThan(0.1);
    }
  });

  test.each([
    [10, 1],
    [16, 2],
  ])('level 3: that one letter of %d px is another one moves no pixel by more than %d of 255', async (size, most) => {
    const variant = (word: string): Grey => {
      const paper = createGrey(640, 420, 255);
      drawWord(paper, word, 300, 300, { size, ...light });
      return paper;
    };
    const [one, other] = [await blurred(variant('total'), 3), await blurred(variant('tocal'), 3)];
    const greatest = one.data
      .map((value, i) => value - other.data[i]!)
      .reduce((far, value) => (value ** 2 > far ** 2 ? value : far), 0);
    expect(greatest ** 2).toBeLessThanOrEqual(most ** 2);
  });
});

describe('reductionOf', () => {
  test('a display of twice the pixels is reduced to the same, a cut-out is not spared', () => {
    expect(reductionOf({ width: 1920, height: 1080 }, 2)).toEqual({ width: 160, height: 90, sigma: 2 });
    expect(reductionOf({ width: 3840, height: 2160 }, 2)).toEqual({ width: 160, height: 90, sigma: 2 });
    expect(reductionOf({ width: 5760, height: 1080 }, 2)).toEqual({ width: 480, height: 90, sigma: 2 });
    expect(reductionOf({ width: 600, height: 300 }, 3)).toEqual({ width: 25, height: 13, sigma: 2 });
  });

  test('nothing is reduced to nothing', () => {
    expect(reductionOf({ width: 1, height: 9_000 }, 3)).toEqual({ width: 1, height: 375, sigma: 2 });
  });
});
