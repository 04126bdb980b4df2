/** Longer words are found by their beginning. */
const maxWordLength = 64;
/** Of one search: more words than anybody types. */
const maxSearchWords = 30;

/**
 * The words of a text, each once, as they are compared: letters, marks and digits, in lower case. Made here rather than
 * by the database's parser, whose idea of a word and of lower case depends on how a database was made, and so that no
 * text at all is an error.
 */
function wordsOf(text: string): string[] {
  const words =
    text
      .normalize('NFKC')
      .toLowerCase()
      .match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
  return [...new Set(words.map((word) => [...word].slice(0, maxWordLength).join('')))];
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

/**
 * A search as a `tsquery`: all of its words, in any order, the last of them perhaps unfinished.
 * @returns undefined for a search without a word: nothing is found.
 */
export function searchQuery(organizationId: string, search: string): string | undefined {
  const words = wordsOf(search).slice(0, maxSearchWords);
  if (words.length === 0) return undefined;
  // Quoted; the words themselves hold neither quotes nor backslashes.
  const lexemes = words.map((word) => `'${markOf(organizationId)}${word}'`);
  // After a space the last word is finished.
  return lexemes.join(' & ') + (/\s$/.test(search) ? '' : ':*');
}
