import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { searchQuery, taskWords } from './words.ts';

const organizationId = '019a0000-0000-7000-8000-0000deadbeef';
const words = (title: string, description: string | null = null) =>
  taskWords(organizationId, title, description).map((word) => {
    expect(word.slice(0, 8)).toBe('deadbeef');
    return word.slice(8);
  });

describe('words', () => {
  test('are letters, marks and digits, in lower case, in one form, each once', () => {
    expect(words("Fix: login/logout (it's SLOW)", 'login v1.2')).toEqual([
      'fix',
      'login',
      'logout',
      'it',
      's',
      'slow',
      'v1',
      '2',
    ]);
    expect(words('ÄRGER')).toEqual(words('a\u0308rger'));
    expect(words('नेपाल ｆｕｌｌ')).toEqual(['नेपाल', 'full']);
    expect(words('!!! — …')).toEqual([]);
  });

  test('forget accents and what else people leave out', () => {
    expect(words('Café')).toEqual(words('cafe'));
    expect(words('Straße STRASSE')).toEqual(['strasse']);
    expect(words('Ελλάδα')).toEqual(words('ελλαδα'));
    expect(words('がぎ')).not.toEqual(words('かき'));
  });

  test('of scripts without spaces are pairs, and the last letter alone', () => {
    expect(words('東京都 v2')).toEqual(['東京', '京都', '都', 'v2']);
    expect(words('搬家plan')).toEqual(['搬家', '家', 'plan']);
    expect(words('กำหนด')).toEqual(expect.arrayContaining(['หน', 'นด', 'ด']));
  });

  test('are signs as well: emoji without what colours and joins them, flags', () => {
    expect(words('Ship it 🚀 👩🏽‍💻 🇳🇵')).toEqual(['ship', 'it', '🚀', '👩', '💻', '🇳🇵']);
  });

  test('are cut where PostgreSQL would refuse them, never within a character', () => {
    const [word] = words(`${'𝒳'.repeat(300)}😀`, '𐐨'.repeat(300));
    expect(word!.isWellFormed()).toBe(true);
    expect(words('𐐨'.repeat(300))[0]!.length).toBe(128);
  });

  test('of a search: all of them, the last as a beginning unless a space ends it', () => {
    const query = (search: string) => searchQuery(organizationId, search)?.replaceAll('deadbeef', '');
    expect(query('Fix logi')).toBe("'fix' & 'logi':*");
    expect(query('Fix login ')).toBe("'fix' & 'login'");
    expect(query('東京')).toBe("'東京':*");
    expect(query('東京都')).toBe("'東京' & '京都':*");
    expect(query('東')).toBe("'東':*");
    expect(query("it's")).toBe("'it' & 's':*");
    expect(query("' | !*:& \u0000 \ud800 ()")).toBeUndefined();
  });

  test('hold nothing that a tsquery would take for more than a word, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (search) => {
        expect(searchQuery(organizationId, search) ?? "'a'").toMatch(/^'[^'\\]+'( & '[^'\\]+')*(:\*)?$/u);
      }),
    );
  });
});
