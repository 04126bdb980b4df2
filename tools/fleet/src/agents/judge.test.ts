import { describe, expect, test } from '@jest/globals';
import type { WirePing } from '../oracle/ledger.ts';
import { judge } from './judge.ts';
import type { Expected, PingRequest } from './uploads.ts';

const ping = (id: string): WirePing => ({ id, startedAt: '', endedAt: '', app: 'a' });
const request = (items: (WirePing | undefined)[], expected: Expected): PingRequest => ({
  body: '',
  contentType: 'application/json',
  items,
  expected,
});
const answer = (status: number, body: unknown) => ({ status, headers: {}, text: JSON.stringify(body) });
const taken = (accepted: number, ...rejected: { index: number; code: string; message: string }[]) =>
  answer(202, { accepted, rejected });
const refused = (status: number, code: string) =>
  answer(status, { statusCode: status, code, message: 'no', requestId: 'r' });
const bad = { index: 1, code: 'APP_EMPTY', message: 'app is empty.' };

describe('judge', () => {
  const mixed = request([ping('1'), undefined, ping('3')], { status: 202, rejected: new Map([[1, 'APP_EMPTY']]) });

  test('acknowledges what was not rejected', () => {
    expect(judge(mixed, taken(2, bad))).toEqual({
      acknowledged: [ping('1'), ping('3')],
      rejectedCodes: ['APP_EMPTY'],
    });
  });

  test.each([
    ['another code', taken(2, { ...bad, code: 'NO_APP' }), 'item 1: expected APP_EMPTY, got NO_APP'],
    ['a bad item taken', taken(3), 'item 1: expected APP_EMPTY, got accepted'],
    ['a good item refused', taken(1, { ...bad, index: 0 }, bad), 'item 0: expected accepted, got APP_EMPTY'],
    ['a wrong count', taken(3, bad), 'accepted is 3 of 3 items'],
    ['a list that is none', answer(202, { accepted: 2, rejected: 1 }), 'not an answer to pings'],
    ['a refusal of all', refused(400, 'APP_EMPTY'), 'expected 202, got 400 APP_EMPTY'],
  ])('complains about %s', (_what, given, complaint) => {
    expect(judge(mixed, given).complaint).toContain(complaint);
  });

  test('wants the warnings that are due, and no others', () => {
    const warning = { index: 1, code: 'URL_TOO_LONG', message: 'url is too long.' };
    const warned = answer(202, { accepted: 2, rejected: [], warnings: [warning] });
    const expected = { status: 202, rejected: new Map(), warnings: new Map([[1, 'URL_TOO_LONG']]) } as const;
    const pings = [ping('1'), ping('2')];
    expect(judge(request(pings, expected), warned)).toEqual({ acknowledged: pings, rejectedCodes: [] });
    expect(judge(request(pings, expected), taken(2)).complaint).toContain('expected warnings 1,URL_TOO_LONG, got none');
    const { warnings: _, ...quiet } = expected;
    expect(judge(request(pings, quiet), warned).complaint).toContain('expected warnings none, got 1,URL_TOO_LONG');
  });

  const whole = request([undefined], { status: 413, codes: ['BODY_TOO_LARGE'] });

  test('takes the refusal it expects, in the one error shape only', () => {
    expect(judge(whole, refused(413, 'BODY_TOO_LARGE')).complaint).toBeUndefined();
    expect(judge(whole, refused(413, 'OTHER')).complaint).toContain('expected BODY_TOO_LARGE');
    expect(judge(whole, refused(400, 'BODY_TOO_LARGE')).complaint).toContain('expected 413');
    expect(judge(whole, answer(413, 'too large')).complaint).toContain('not the error shape');
    expect(judge(whole, taken(1)).complaint).toContain('expected 413, got 202');
  });
});
