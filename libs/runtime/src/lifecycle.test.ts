import { expect, test } from '@jest/globals';
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

test('the deadline bounds a closer that hangs', async () => {
  const lifecycle = createLifecycle({ log: silentLogger(), deadlineMs: 20 });
  lifecycle.onClose('never reached', () => {
    throw new Error('the deadline had passed');
  });
  lifecycle.onClose('hangs', () => new Promise(() => {}));
  expect(await lifecycle.close()).toBe(false);
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
