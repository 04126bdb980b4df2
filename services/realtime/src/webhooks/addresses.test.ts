import { describe, expect, test } from '@jest/globals';
import { createAddressRules, isRange } from './addresses.ts';

const { verdict } = createAddressRules([]);

describe('addresses that nobody is sent to', () => {
  test.each([
    ...['127.0.0.1', '127.255.255.254', '0.0.0.0', '10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1'],
    ...['169.254.169.254', '100.64.0.1', '192.0.0.1', '192.0.2.1', '198.18.0.1', '198.51.100.1', '203.0.113.9'],
    ...['224.0.0.1', '239.255.255.255', '240.0.0.1', '255.255.255.255', '192.88.99.1'],
    ...['::1', '::', 'fe80::1', 'fe80::1%eth0', 'fc00::1', 'fd12:3456::1', 'ff02::1', 'fec0::1', '100::1'],
    // An IPv4 address in another dress.
    ...['::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:169.254.169.254', '::ffff:10.0.0.1', '::127.0.0.1', '::7f00:1'],
    ...['64:ff9b::127.0.0.1', '64:ff9b::a00:1', '64:ff9b:1::1', '2002:7f00:1::', '2001:0:7f00:1::'],
    ...['2001:db8::1', '3fff::1', '2001:20::1', '5f00::1'],
    // What is no address at all.
    ...['', 'localhost', '127.1', '0x7f.0.0.1', '017700000001', '2130706433', '[::1]', '1.2.3.4.5', '::g'],
  ])('%s', (address) => {
    expect(verdict(address)).toBe('refused');
  });

  test.each(['1.1.1.1', '172.15.255.255', '172.32.0.1', '100.63.255.255', '126.255.255.255', '2606:4700::1111'])(
    '%s is public',
    (address) => {
      expect(verdict(address)).toBe('public');
    },
  );
  test.each(['::ffff:1.1.1.1', '64:ff9b::1.1.1.1'])('%s carries one that is', (address) => {
    expect(verdict(address)).toBe('public');
  });
});

test('an operator may allow ranges, and these alone', () => {
  const { verdict: own } = createAddressRules(['10.1.0.0/16', 'fd00::/8', '127.0.0.1/32']);
  for (const address of ['10.1.2.3', '::ffff:10.1.2.3', 'fd00::1', '127.0.0.1']) expect(own(address)).toBe('allowed');
  for (const address of ['10.2.0.1', 'fc00::1', '127.0.0.2', '169.254.169.254', '::1'])
    expect(own(address)).toBe('refused');
  expect(own('1.1.1.1')).toBe('public');
});

test('what is a range', () => {
  for (const text of ['10.0.0.0/8', '::/0', 'fd00::/8', '1.2.3.4/32'])
    expect([text, isRange(text)]).toEqual([text, true]);
  for (const text of [
    '',
    '10.0.0.0',
    '10.0.0.0/33',
    '10.0.0/8',
    'x/8',
    '::/129',
    '10.0.0.0/8/8',
    '10.0.0.0/-1',
    '10.0.0.0/',
  ]) {
    expect([text, isRange(text)]).toEqual([text, false]);
  }
});
