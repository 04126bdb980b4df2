import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { isConnectionTrouble } from './errors.ts';
import { verifiedUrl } from './url.ts';

const base = 'postgres://u:hush%25%3F@h:5432/d';
const here = encodeURIComponent(fileURLToPath(import.meta.url));

test.each([
  ['', ''],
  ['?application_name=a', '?application_name=a'],
  ['?sslmode=disable', '?sslmode=disable'],
  ['?sslmode=no-verify', '?sslmode=no-verify'],
  ['?sslmode=prefer', '?sslmode=verify-full'],
  ['?sslmode=require', '?sslmode=verify-full'],
  ['?sslmode=verify-ca', '?sslmode=verify-full'],
  ['?sslmode=verify-full', '?sslmode=verify-full'],
  [`?sslmode=require&sslrootcert=${here}`, `?sslmode=verify-full&sslrootcert=${here}`],
])('%s is to pg %s', (given, expected) => {
  expect(verifiedUrl(base + given)).toBe(base + expected);
});

test.each([
  ['?sslmode=verify_full', /sslmode is one of/],
  ['?sslmode=allow', /sslmode is one of/],
  ['?sslmode=', /sslmode is one of/],
  ['?sslmode=require&uselibpqcompat=true', /uselibpqcompat is not taken/],
  ['?ssl=no-verify', /ssl is not taken/],
  ['?sslmode=verify-full&sslrootcert=/no/such', /sslrootcert: .*ENOENT/],
  ['?sslmode=verify-full&sslcert=/no/such&sslkey=/no/such', /sslcert: .*ENOENT/],
])('%s is a bad configuration', (query, problem) => {
  const take = () => verifiedUrl(base + query);
  expect(take).toThrow(expect.objectContaining({ code: 'BAD_CONFIGURATION', message: expect.stringMatching(problem) }));
  expect(take).toThrow(expect.not.objectContaining({ message: expect.stringContaining('hush') }));
});

test.each([
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'CERT_HAS_EXPIRED',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE',
  'EPROTO',
])('%s is trouble of the connection: an operator mends it, a statement is not to blame', (code) => {
  expect(isConnectionTrouble(Object.assign(new Error('x'), { code }))).toBe(true);
});

test('so is a server that does not do TLS', () => {
  expect(isConnectionTrouble(new Error('The server does not support SSL connections'))).toBe(true);
});
