/** Whether a text is named by one of some patterns. */
export type Matches = (text: string) => boolean;

/** A piece of a pattern between two `*`, and how far it repeats itself (Knuth, Morris and Pratt). */
interface Piece {
  text: string;
  failures: Uint16Array;
}

/**
 * Patterns of which `*` stands for any characters and everything else for itself. A text costs a look-up, and one pass for
 * each pattern with a `*`, however both were made up. Compared as they are: fold case before.
 */
export function compileGlobs(globs: readonly string[]): Matches {
  const whole = new Set(globs.filter((glob) => !glob.includes('*')));
  const parted = globs.filter((glob) => glob.includes('*')).map(compileGlob);
  return (text) => whole.has(text) || parted.some((matches) => matches(text));
}

function compileGlob(glob: string): Matches {
  const texts = glob.split('*');
  const first = texts[0]!;
  const last = texts.at(-1)!;
  const between = texts
    .slice(1, -1)
    .filter((text) => text !== '')
    .map(pieceOf);
  return (text) => {
    if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false;
    const end = text.length - last.length;
    let from = first.length;
    // The first place of each piece leaves most room for what follows, so that none is tried twice.
    for (const piece of between) {
      const found = endOf(piece, text, from, end);
      if (found < 0) return false;
      from = found;
    }
    return true;
  };
}

function pieceOf(text: string): Piece {
  const failures = new Uint16Array(text.length);
  for (let at = 1, known = 0; at < text.length; at++) {
    while (known > 0 && text[at] !== text[known]) known = failures[known - 1]!;
    if (text[at] === text[known]) known++;
    failures[at] = known;
  }
  return { text, failures };
}

/** Behind the first place of the piece from `from` up to `end`; −1 where there is none. */
function endOf({ text: piece, failures }: Piece, text: string, from: number, end: number): number {
  for (let at = from, known = 0; at < end; at++) {
    while (known > 0 && text[at] !== piece[known]) known = failures[known - 1]!;
    if (text[at] === piece[known]) known++;
    if (known === piece.length) return at + 1;
  }
  return -1;
}
