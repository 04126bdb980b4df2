import { glob, readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { codesIn } from './codes.ts';
import { commentOver, defaultOf } from './config.ts';
import { metricsIn } from './metrics.ts';
import { pagePath, renderReference } from './page.ts';
import { parse, readSources, root } from './tree.ts';

const file = (source: string, at = 'services/shop/src/a.ts') => ({ path: at, tree: parse(source) });

test('the page says what the code does', async () => {
  const page = await readFile(path.join(root, pagePath), 'utf8');
  const made = await renderReference();
  // Not the two at once: a difference of one line is to be seen.
  const missing = made.split('\n').filter((line) => !page.split('\n').includes(line));
  expect({ missing, remedy: 'npm run reference' }).toEqual({ missing: [], remedy: 'npm run reference' });
  expect(page).toBe(made);
});

test('metrics that pages for people name are there', async () => {
  const names = metricsIn(await readSources()).map(({ name }) => name);
  // Roles of the database, a cookie, and the views of analysts begin alike.
  const isElse =
    /^worktide_(auth|session_writer|workspace|screenshot_processor|analytics|realtime|agent_protocols|refresh|v\d)/;
  const missing: string[] = [];
  for await (const page of glob(['*.md', '{docs,libs,services,tools,bench,tests}/**/*.md'], { cwd: root })) {
    // A changelog names what was, too.
    if (page.includes('node_modules') || page === 'CHANGELOG.md') continue;
    for (const [name] of (await readFile(path.join(root, page), 'utf8')).matchAll(/worktide_[a-z\d_]+/g)) {
      // `worktide_screenshots_…` stands for all of them.
      const isThere = name.endsWith('_') ? names.some((one) => one.startsWith(name)) : names.includes(name);
      const isPart = names.includes(name.replace(/_(bucket|sum|count)$/, ''));
      if (!isThere && !isPart && !isElse.test(name)) missing.push(`${page}: ${name}`);
    }
  }
  expect(missing).toEqual([]);
});

describe('codes', () => {
  const of = (source: string) => {
    const { errors, items } = codesIn([file(source)]);
    const read = (entries: typeof errors) => entries.map(({ code, statuses, texts }) => [code, statuses, texts]);
    return { errors: read(errors), items: read(items) };
  };

  test('of errors: literals, branches, constants, and what is filled in by its name', () => {
    const { errors } = of(`
      const late = 'TOO_LATE';
      const f = (max: number, mean: boolean) => {
        if (max) throw new AppError(mean ? 'MEAN' : 'KIND', \`At most \${max} or \${options.least} or \${max + 1}.\`, { statusCode: 409 });
        throw new AppError(late, 'x');
      };`);
    expect(errors).toEqual([
      ['KIND', [409], ['At most {max} or {least} or ….']],
      ['MEAN', [409], ['At most {max} or {least} or ….']],
      ['TOO_LATE', [500], ['x']],
    ]);
  });

  test('of errors made by helpers: their arguments, their defaults, and by those who call them', () => {
    const { errors } = of(`
      export const gone = (message = 'It is gone.', code = 'GONE') => new AppError(code, message, { statusCode: 410 });
      function wrong(code: string, message: string) { return new AppError(code, message, { statusCode: 400 }); }
      function limit({ code = 'LIMITED', message = 'Wait.' }) { return new AppError(code, message, { statusCode: 429 }); }
      throw gone('Long ago.');
      throw gone('Not here.', 'NOT_HERE');
      throw wrong('WRONG', 'It is wrong.');`);
    expect(errors).toEqual([
      ['GONE', [410], ['It is gone.', 'Long ago.']],
      ['LIMITED', [429], ['Wait.']],
      ['NOT_HERE', [410], ['Not here.']],
      ['WRONG', [400], ['It is wrong.']],
    ]);
  });

  test('of tables, each with its own text', () => {
    const { errors } = of(`
      const texts = { EMPTY: 'It is empty.', FULL: 'It is full.' } as const;
      const verdict = (code: keyof typeof texts) => new AppError(code, texts[code], { statusCode: 422 });
      const known: Record<string, [string, string]> = { a: ['BAD_A', 'a'], b: ['BAD_B', 'b'] };
      function from(e: { type: string; status: number }) {
        const [code, message] = known[e.type] ?? ['BAD', 'else'];
        return new AppError(code, message, { statusCode: e.status });
      }`);
    expect(errors).toEqual([
      ['BAD', [], ['else']],
      ['BAD_A', [], ['a']],
      ['BAD_B', [], ['b']],
      ['EMPTY', [422], ['It is empty.']],
      ['FULL', [422], ['It is full.']],
    ]);
  });

  test('of what refuses, of single items, and not of labels and conditions', () => {
    const { errors, items } = of(`
      throw new AppError('BUSY', 'Come back.', { statusCode: 503 });
      createTurns({ name: 'a', code: 'A_BUSY' });
      const problem = (code: string, message: string) => ({ code, message });
      const forms: Record<string, string> = { id: 'BAD_ID' };
      problem(forms[field] ?? 'BAD_FIELD', 'It is bad.');
      list.push({ code: 'ODD', message: 'It is odd.' });
      metrics.refused.inc({ code: 'LABEL' });
      if (error.code === 'ENOENT') expect(error).is({ code: 'CONDITION' });`);
    expect(errors).toEqual([
      ['A_BUSY', [503], ['Come back.']],
      ['BUSY', [503], ['Come back.']],
    ]);
    expect(items).toEqual([
      ['BAD_FIELD', [], ['It is bad.']],
      ['BAD_ID', [], ['It is bad.']],
      ['ODD', [], ['It is odd.']],
    ]);
  });

  test('one that cannot be read is an error', () => {
    expect(() => of(`throw new AppError(makeUp(), 'x');`)).toThrow('services/shop/src/a.ts: the code of an AppError');
  });
});

test('metrics: name, kind, labels and help, wherever they are asked for; two that differ are an error', () => {
  const source = `
    const by = ['shop'] as const;
    metrics.counter('b_total', 'B.', by);
    metrics?.gauge('a', 'A.');
    options.metrics.histogram('c_seconds', 'C.', buckets, ['x', 'y']);
    metrics.observed('d', 'D.', () => 1, { z: name });`;
  expect(metricsIn([file(source), file(source, 'libs/till/src/b.ts')])).toEqual([
    { name: 'a', kind: 'gauge', labels: [], help: 'A.', packages: ['shop', 'till'] },
    { name: 'b_total', kind: 'counter', labels: ['shop'], help: 'B.', packages: ['shop', 'till'] },
    { name: 'c_seconds', kind: 'histogram', labels: ['x', 'y'], help: 'C.', packages: ['shop', 'till'] },
    { name: 'd', kind: 'gauge', labels: ['z'], help: 'D.', packages: ['shop', 'till'] },
  ]);
  expect(() => metricsIn([file('metrics.counter(name, help)')])).toThrow('is no literal');
  expect(() => metricsIn([file(source), file(`metrics.gauge('a', 'A.', ['b'])`)])).toThrow('another metric elsewhere');
});

test('variables: the default as it would be set, and the comment that stands over it', () => {
  expect(defaultOf(z.coerce.number().default(5))).toBe('5');
  expect(
    defaultOf(
      z
        .string()
        .default('./data')
        .transform((folder) => `/somewhere/${folder}`),
    ),
  ).toBe('./data');
  expect(defaultOf(z.string().min(3).optional())).toBe('');
  expect(defaultOf(z.url().refine(() => true))).toBe('required');
  const source = `
    /** Of all. */
    A: z.string(),
    B: z.string(),
    /**
     * Of this
     * one.
     */
    C: z.string(),
    AB: z.string(),`;
  expect(['A', 'B', 'C', 'AB'].map((name) => commentOver(name, ['', source]))).toEqual([
    'Of all.',
    undefined,
    'Of this one.',
    undefined,
  ]);
});
