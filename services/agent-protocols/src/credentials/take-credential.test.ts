import type { IncomingMessage } from 'node:http';
import { expect, test } from '@jest/globals';
import { takeCredential } from './take-credential.ts';

const key = 'waka_019cd7a0-0000-4000-8000-00000000000a';
const base64 = (text: string): string => Buffer.from(text).toString('base64');

function taken(url: string, authorization?: string) {
  const req = { url, headers: authorization === undefined ? {} : { authorization } } as IncomingMessage;
  takeCredential(req);
  return { url: req.url, authorization: req.headers.authorization };
}

test.each([
  ['in the path', `/agent/${key}/api/0/buckets/x?a=1`, undefined, '/api/0/buckets/x?a=1'],
  ['in the path, encoded', `/agent/${key.replace('_', '%5f')}/api/0/info`, undefined, '/api/0/info'],
  ['in the query', `/api/0/buckets/?api_key=${key}`, undefined, '/api/0/buckets/'],
  ['in the query, among others', `/api/0/buckets/?a=1&API_KEY=${key}&b=%2f`, undefined, '/api/0/buckets/?a=1&b=%2F'],
  ['as a password', '/api/0/buckets/', `Basic ${base64(`agent:${key}`)}`, '/api/0/buckets/'],
  ['as a name', '/api/0/buckets/', `basic ${base64(`${key}:`)}`, '/api/0/buckets/'],
  ['alone', '/api/0/buckets/', `Basic ${base64(key)}`, '/api/0/buckets/'],
])('a key %s becomes a Bearer, and is nowhere else', (_, url, authorization, left) => {
  expect(taken(url, authorization)).toEqual({ url: left, authorization: `Bearer ${key}` });
});

test.each([
  ['a Bearer is left as it is', '/api/0/buckets/', 'Bearer x', '/api/0/buckets/', 'Bearer x'],
  ['a Bearer goes before a key in the path', `/agent/${key}/api/0/x`, 'Bearer x', '/api/0/x', 'Bearer x'],
  ['what is mistyped is not shown', '/agent/waka_1234/api/0/x', undefined, '/api/0/x', undefined],
  [
    'our own interface is not reached by it',
    `/agent/${key}/api/v1/users`,
    undefined,
    '/agent/hidden/api/v1/users',
    `Bearer ${key}`,
  ],
  [
    'other paths are left alone',
    `/api/v1/pings?api_key=${key}`,
    `Basic ${base64(key)}`,
    `/api/v1/pings?api_key=${key}`,
    `Basic ${base64(key)}`,
  ],
])('%s', (_, url, authorization, leftUrl, leftHeader) => {
  expect(taken(url, authorization)).toEqual({ url: leftUrl, authorization: leftHeader });
});
