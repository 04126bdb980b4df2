/** Columns and rows of a glyph; a line of text needs a free one of each. */
export const glyphWidth = 5;
export const glyphHeight = 7;

/**
 * A character and its seven rows from the top, each row a digit of base 32 whose five bits are its pixels from the left.
 * A font of our own: what a picture shows is then the same on machines with other fonts, or none.
 */
const font = [
  'Aehhvhhh Buhhuhhu Cehggghe Duhhhhhu Evgguggv Fvgguggg Gehgnhhe Hhhhvhhh Ie44444e J72222ic Khikokih Lggggggv',
  'Mhrllhhh Nhhpljhh Oehhhhhe Puhhuggg Qehhhlid Ruhhukih Sfgge11u Tv444444 Uhhhhhhe Vhhhhha4 Whhhllla Xhha4ahh',
  'Yhhha444 Zv1248gv 0ehjlphe 14c4444e 2eh1248v 3v2421he 426aiv22 5vgu11he 668guhhe 7v124888 8ehhehhe 9ehhf12c',
  'a00e1fhf bggmphhu c00egghe d11djhhf e00ehvge f698s888 g0fhhf1e hggmphhh i40c444e j20622ic kggikoki lc44444e',
  'm00qllhh n00mphhh o00ehhhe p00uhugg q00djf11 r00mpggg s00ege1u t88s8896 u00hhhjd v00hhha4 w00hhlla x00ha4ah',
  'y00hhf1e z00v248v .00000cc ,0000c48 :0cc0cc0 -000v000 /01248g0 (2488842 )8422248 =00v0v00',
].join(' ');

const glyphs = new Map(
  font.split(' ').map((glyph) => [glyph[0]!, Array.from(glyph.slice(1), (row) => Number.parseInt(row, 32))]),
);

/** The rows of a character's glyph as five-bit numbers; undefined for space and for what the font lacks. */
export const glyphOf = (character: string): readonly number[] | undefined => glyphs.get(character);
