/** Longer words are found by their beginning. */
const maxWordLength = 64;
/** Of one search: more words than anybody types. */
const maxSearchWords = 30;

/** Which rule the stored words of a task were made by; raised with it, so that older ones are made anew (`reword.ts`). */
export const wordsForm = 2;

/** Scripts that put no space between words. */
const unspaced =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}\u3005\u30fc]/u;
/** A run without spaces, a word, a flag, or a sign that stands for itself (an emoji without its skin colour and joiners). */
const pieces = new RegExp(
  `(?:${unspaced.source}\\p{M}*)+|(?:(?!${unspaced.source})[\\p{L}\\p{M}\\p{N}])+|\\p{RI}{2}|\\p{Extended_Pictographic}`,
  'gu',
);
/** Accents and the like, which people leave out when they type (the block of combining diacritical marks). */
const accents = /[\u0300-\u036f]/g;

/**
 * Text as it is compared: compatible forms alike (NFKD), no accents, no case. By way of capitals, since that makes `ß` the
 * `ss` that others write. Composed again at the end: what is left of marks belongs to its letter (Devanagari, kana).
 */
const foldText = (text: string): string =>
  text
    .normalize('NFKD')
    .replace(accents, '')
    .toUpperCase()
    .toLowerCase()
    .normalize('NFKD')
    .replace(accents, '')
    .normalize('NFC');

/** Each two neighbours of a run, and its last alone: so that any part of the run is found by the pairs that are in it. */
function pairsOf(run: string): string[] {
  const letters = run.match(/\P{M}\p{M}*/gu) ?? [run];
  return letters.map((letter, i) => letter + (letters[i + 1] ?? ''));
}

const cut = (word: string): string => [...word].slice(0, maxWordLength).join('');

/**
 * The words of a text, each once, as they are compared. Made here rather than by the database's parser, whose idea of a
 * word and of lower case depends on how a database was made, and so that no text at all is an error.
 */
function wordsOf(text: string): string[] {
  const found = foldText(text).match(pieces) ?? [];
  return [...new Set(found.flatMap((piece) => (unspaced.test(piece) ? pairsOf(piece) : [piece])).map(cut))];
}

/**
 * Stands before every word, so that the index has each organisation's words beside each other and the beginning of a
 * word is looked for among its own alone. Two organisations with the same mark only share a neighbourhood: whose a task
 * is the query asks besides.
 */
const markOf = (organizationId: string): string => organizationId.slice(-8);

/** Lexemes of a task, for `array_to_tsvector`. */
export const taskWords = (organizationId: string, title: string, description: string | null): string[] =>
  wordsOf(`${title} ${description ?? ''}`).map((word) => markOf(organizationId) + word);

/** What is asked for: as `wordsOf`, but that the last of a run is in the pair before it already. */
function searchedWords(search: string): string[] {
  const found = foldText(search).match(pieces) ?? [];
  const words = found.flatMap((piece) => {
    if (!unspaced.test(piece)) return [piece];
    const pairs = pairsOf(piece);
    return pairs.length > 1 ? pairs.slice(0, -1) : pairs;
  });
  return [...new Set(words.map(cut))].slice(0, maxSearchWords);
}

/**
 * A search as a `tsquery`: all of its words, in any order, the last of them perhaps unfinished.
 * @returns undefined for a search without a word: nothing is found.
 */
export function searchQuery(organizationId: string, search: string): string | undefined {
  const words = searchedWords(search);
  if (words.length === 0) return undefined;
  // Quoted; the words themselves hold neither quotes nor backslashes.
  const lexemes = words.map((word) => `'${markOf(organizationId)}${word}'`);
  // After a space the last word is finished.
  return lexemes.join(' & ') + (/\s$/.test(search) ? '' : ':*');
}
