/**
 * How much a test does: in `npm test` as much as shows that it holds, in `npm run test:long` as much as it was ever promised.
 */
export const inLongRounds = (long: number, otherwise: number): number =>
  process.env.LONG_ROUNDS === '1' ? long : otherwise;
