import { setupI18n } from '@lingui/core';
import { compileMessage } from '@lingui/message-utils/compileMessage';
import { useSyncExternalStore } from 'react';
import type { german } from './german.ts';

/** What is said, in English: the text is its own id, and one that has no German is none to the compiler. */
export type Text = keyof typeof german;
export type Language = 'en' | 'de';

const kept = 'worktide.language';
let served: readonly (readonly [RegExp, string])[] = [];
const i18n = setupI18n();
i18n.setMessagesCompiler(compileMessage);
// What is missing is its own id: English needs no catalogue, and German is fetched by those who read it.
// Two texts that are one word in English have ids that tell them apart.
i18n.load({ en: { 'Active person': 'Active', 'Active project': 'Active' }, de: {} });

const initial = (): Language => {
  const chosen = localStorage.getItem(kept) ?? navigator.language.slice(0, 2);
  return chosen === 'de' ? 'de' : 'en';
};

/** How numbers and times are written: as the browser's owner does, where that is the language of the page. */
export const locale = (): string => {
  const own = navigator.languages.find((one) => one.slice(0, 2) === i18n.locale);
  return own ?? (i18n.locale === 'de' ? 'de-DE' : 'en-GB');
};

export async function setLanguage(language: Language, keep = true): Promise<void> {
  if (keep) localStorage.setItem(kept, language);
  if (language === 'de') {
    const { german: texts, sentences } = await import('./german.ts');
    i18n.load('de', texts as Record<string, string>);
    served = sentences;
  }
  document.documentElement.lang = language;
  i18n.activate(language);
}

export const useLanguage = (): Language =>
  useSyncExternalStore(
    (listener) => i18n.on('change', listener),
    () => i18n.locale as Language,
  );

/** In the language of the page, with values in `{places}`. */
export const t = (text: Text, values?: Record<string, string | number>): string => i18n._(text, values);

/** What a service says itself, in the language of the page where it is a sentence that is known, else as it was said. */
export function translated(sentence: string): string {
  if (i18n.locale !== 'de') return sentence;
  const [pattern, text] = served.find(([one]) => one.test(sentence)) ?? [];
  return pattern ? sentence.replace(pattern, text!) : sentence;
}

/** Before anything is drawn. */
export const languageReady = setLanguage(initial(), false);
