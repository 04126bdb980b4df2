import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { loadConfig } from './config.ts';
import { AppError, describeError } from './errors.ts';
import { derivedUuid, uuidv7 } from './ids.ts';
import { createLifecycle } from './lifecycle.ts';
import { createLogger, silentLogger } from './log.ts';
import { createMetrics } from './metrics.ts';

test('closers run last-in first-out, once, and one that throws does not stop the others', async () => {
  const lifecycle = createLifecycle({ log: silentLogger() });
  const order: string[] = [];
  lifecycle.onClose('first', () => void order.push('first'));
  lifecycle.onClose('bad', () => Promise.reject(new Error('no')));
  lifecycle.onClose('last', async () => void order.push('last'));
  const clean = await Promise.all([lifecycle.close(), lifecycle.close()]);
  expect(order).toEqual(['last', 'first']);
  expect(clean).toEqual([false, false]);
  expect(lifecycle.signal.aborted).toBe(true);
});

test('a closer that hangs is left behind in time, after its signal, and the next ones run', async () => {
  const lifecycle = createLifecycle({ log: silentLogger(), deadlineMs: 100 });
  const order: string[] = [];
  lifecycle.onClose('first', () => void order.push('first'));
  lifecycle.onClose('hangs, too', () => new Promise(() => {}));
  lifecycle.onClose('lets go when told', async ({ signal }) => {
    await once(signal, 'abort');
    order.push('let go');
  });
  lifecycle.onClose('hangs', ({ signal }) => {
    signal.addEventListener('abort', () => order.push('told'));
    return new Promise(() => {});
  });
  expect(await lifecycle.close()).toBe(false);
  expect(order).toEqual(['told', 'let go', 'first']);
});

test('each closer has its part of what is left, and time of its own on top where it asks for it', async () => {
  const lifecycle = createLifecycle({ log: silentLogger(), deadlineMs: 10_000 });
  const budgets: number[] = [];
  const note = ({ budgetMs }: { budgetMs: number }): void => void budgets.push(Math.round(budgetMs / 1_000));
  lifecycle.onClose('a half', note);
  lifecycle.onClose('a tenth', note, { share: 0.1 });
  lifecycle.onClose('a half and a wait', note, { extraMs: 60_000 });
  expect(await lifecycle.close()).toBe(true);
  // Nobody has used anything of it; the wait was not needed, so the others may.
  expect(budgets).toEqual([65, 7, 35]);
});

test('what is opened while the rest closes, or after, is closed at once', async () => {
  const lifecycle = createLifecycle({ log: silentLogger() });
  const order: string[] = [];
  lifecycle.onClose('first', () => void order.push('first'));
  lifecycle.onClose('last', async () => {
    lifecycle.onClose('late', async () => {
      await null;
      order.push('late');
    });
    while (!order.includes('late')) await new Promise((resolve) => setImmediate(resolve));
    order.push('last');
  });
  expect(await lifecycle.close()).toBe(true);
  expect(order).toEqual(['late', 'last', 'first']);
  await new Promise<void>((resolve) => lifecycle.onClose('later still', () => resolve()));
});

test('closing waits for a start that is under way, so that what it opens is closed in order; a hanging one is left', async () => {
  const lifecycle = createLifecycle({ log: silentLogger() });
  const order: string[] = [];
  lifecycle.onClose('opened before', () => void order.push('opened before'));
  const starting = (async () => {
    await once(lifecycle.signal, 'abort');
    lifecycle.onClose('opened meanwhile', () => void order.push('opened meanwhile'));
    lifecycle.signal.throwIfAborted();
  })();
  expect(await lifecycle.close(starting)).toBe(true);
  expect(order).toEqual(['opened meanwhile', 'opened before']);
  await expect(starting).rejects.toMatchObject({ code: 'STOPPING' });

  const other = createLifecycle({ log: silentLogger(), deadlineMs: 50 });
  const closed = new Promise<void>((resolve) => other.onClose('opened before', () => resolve()));
  expect(await other.close(new Promise(() => {}))).toBe(false);
  await closed;
});

describe('a process', () => {
  const modules = ['lifecycle', 'log'].map((name) => fileURLToPath(new URL(`./${name}.ts`, import.meta.url)));
  /** Runs `start` in a process of its own, sends it signals when it says so, and tells what it wrote and its exit code. */
  async function run(start: string, deadlineMs = 2_000) {
    const program = `
      import { runProcess } from ${JSON.stringify(modules[0])};
      import { createLogger } from ${JSON.stringify(modules[1])};
      import { writeSync } from 'node:fs';
      // At once and in order: the last lines come just before the exit.
      const log = createLogger({ service: 's', level: 'error', destination: { write: (line) => writeSync(1, line) } });
      const say = (text) => log.error(text);
      setInterval(() => {}, 1_000);
      await runProcess(log, async (lifecycle) => { ${start} }, { deadlineMs: ${deadlineMs} });`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const said: string[] = [];
    child.stdout.on('data', (chunk: Buffer) => {
      for (const line of chunk.toString().trim().split('\n')) {
        const { msg } = JSON.parse(line);
        if (msg === 'signal') child.kill('SIGTERM');
        else said.push(msg);
      }
    });
    const [code] = await once(child, 'close');
    return { code, said };
  }

  test('a signal during its start stops the start, closes what was opened and ends with 0', async () => {
    const { code, said } = await run(`
      lifecycle.onClose('one', () => say('closed one'));
      say('signal');
      await new Promise((resolve) => lifecycle.signal.addEventListener('abort', resolve));
      lifecycle.onClose('two', () => say('closed two'));
      lifecycle.signal.throwIfAborted();
      say('never reached');`);
    expect({ code, said }).toEqual({ code: 0, said: ['closed two', 'closed one'] });
  });

  test('a start that does not listen is left behind, and what was opened is closed all the same', async () => {
    const { code, said } = await run(`
      lifecycle.onClose('one', () => say('closed one'));
      say('signal');
      await new Promise(() => {});`);
    expect({ code, said }).toEqual({ code: 1, said: ['closing took too long, leaving it behind', 'closed one'] });
  });

  test('a failure during a start that hangs ends it as well, with 1', async () => {
    const { code, said } = await run(`
      lifecycle.onClose('one', () => say('closed one'));
      setTimeout(() => Promise.reject(new Error('boom')), 10);
      await new Promise(() => {});`);
    expect(code).toBe(1);
    expect(said).toEqual(['stopping: boom', 'closing took too long, leaving it behind', 'closed one']);
  });

  test('two signals are one stop', async () => {
    const { code, said } = await run(`
      lifecycle.onClose('one', async () => {
        say('signal');
        await new Promise((resolve) => process.once('SIGTERM', resolve));
        say('closed one');
      });
      setTimeout(() => say('signal'), 10);`);
    expect({ code, said }).toEqual({ code: 0, said: ['closed one'] });
  });
});

test('a failure ends the wait with its reason', async () => {
  const lifecycle = createLifecycle({ log: silentLogger() });
  const reason = new Error('the consumer ended');
  lifecycle.fail(reason);
  expect(await lifecycle.ended).toBe(reason);
});

test('configuration: every problem at once, no value repeated, empty means unset', () => {
  const schema = z.object({ A: z.coerce.number(), B: z.url(), C: z.string().default('c'), D: z.string().min(32) });
  expect(loadConfig(schema.pick({ C: true }), { C: '', OTHER: 'x' })).toEqual({ C: 'c' });
  let thrown: unknown;
  try {
    loadConfig(schema, { A: 'x', B: 'y', D: 'hunter2' });
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(AppError);
  const { code, message } = thrown as AppError;
  expect(code).toBe('BAD_CONFIGURATION');
  for (const name of ['A:', 'B:', 'D:']) expect(message).toContain(name);
  expect(message).not.toContain('hunter2');
});

test('logs are JSON lines with levels by name and secrets redacted', () => {
  const lines: string[] = [];
  const log = createLogger({ service: 's', destination: { write: (line: string) => void lines.push(line) } });
  log.info({ password: 'p1', headers: { authorization: 'Bearer t1' }, user: 'u' }, 'hello');
  const line = JSON.parse(lines[0]!);
  expect(line).toMatchObject({ service: 's', level: 'info', msg: 'hello', user: 'u' });
  expect(lines[0]).not.toMatch(/p1|t1/);
});

test('metrics of one name are one, whoever asks', async () => {
  const metrics = createMetrics();
  metrics.counter('worktide_x_total', 'x', ['a']).inc({ a: '1' });
  metrics.counter('worktide_x_total', 'x', ['a']).inc({ a: '1' });
  expect((await metrics.render()).text).toContain('worktide_x_total{a="1"} 2');
});

test('ids: version 7 sorts by time, derived ones depend on the parts alone and on their borders', () => {
  expect(uuidv7(1)).toMatch(/^00000000-0001-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(uuidv7(1_000) < uuidv7(1_001)).toBe(true);
  expect(derivedUuid('a', 1)).toBe(derivedUuid('a', '1'));
  expect(derivedUuid('ab', 'c')).not.toBe(derivedUuid('a', 'bc'));
  expect(derivedUuid('a')).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

test('describeError joins the causes', () => {
  const error = new AppError('X', 'outer', { cause: new Error('inner', { cause: 'root' }) });
  expect(describeError(error)).toBe('outer: inner: root');
});
