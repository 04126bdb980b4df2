/**
 * What each level leaves. A picture is reduced by `factor`, softened by a Gaussian of `sigma` reduced pixels, rounded to
 * 8 bits, and enlarged again; everything that is stored is made from those few reduced pixels, so nothing finer exists
 * anywhere that could be sharpened back.
 *
 * The figures are for a display 1080 pixels high; a higher one shows the same text in more pixels, so the factor grows
 * with the shorter side, and never shrinks, because a small picture may be a cut-out of a large display.
 * A grid of 1 in `factor` pixels carries detail with a period of 2 × `factor` pixels and more, and the Gaussian damps a
 * period p by exp(−2π² (factor · sigma / p)²): below 1.8 × factor × sigma that is less than half a step of 8 bits, and
 * rounding ends it. Letters are told apart by strokes about a quarter to a third of the text's size from each other.
 *
 * | level | factor | sigma | finest period left | what can be seen                                                  |
 * | ----- | ------ | ----- | ------------------ | ----------------------------------------------------------------- |
 * | 0     | -      | -     | all                | everything                                                        |
 * | 1     | 6      | 0.9   | 12 px              | layout, and headings of 48 px; body text to 16 px is a grey line  |
 * | 2     | 12     | 2     | 43 px              | windows, pictures, where text stands; no letters to 48 px         |
 * | 3     | 24     | 2     | 86 px              | large areas and their colours; not even lines of text             |
 */
const levels = [undefined, { factor: 6, sigma: 0.9 }, { factor: 12, sigma: 2 }, { factor: 24, sigma: 2 }] as const;

export type BlurLevel = 0 | 1 | 2 | 3;

export interface Size {
  width: number;
  height: number;
}

/** To what a picture of this size is reduced, and the Gaussian there in reduced pixels; undefined at level 0. */
export function reductionOf({ width, height }: Size, level: BlurLevel): (Size & { sigma: number }) | undefined {
  const blur = levels[level];
  if (blur === undefined) return undefined;
  const factor = blur.factor * Math.max(1, Math.min(width, height) / 1080);
  const reduced = (side: number): number => Math.max(1, Math.round(side / factor));
  return { width: reduced(width), height: reduced(height), sigma: blur.sigma };
}
