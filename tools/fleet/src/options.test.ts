import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parseCommandLine, UsageError } from './options.ts';

describe('the command line', () => {
  test('has defaults for all but the URL', () => {
    expect(parseCommandLine(['--url', 'http://127.0.0.1:8080/'])).toEqual({
      help: false,
      json: false,
      options: { url: 'http://127.0.0.1:8080', agents: 200, foreign: 20, seconds: 30, siege: false, origins: {} },
    });
    expect(parseCommandLine(['--help']).help).toBe(true);
  });

  test('hostile agents bring a siege unless told not to', () => {
    const siegeOf = (...argv: string[]) => parseCommandLine(['--url', 'http://a', ...argv]).options.siege;
    expect([siegeOf('--hostile', '3'), siegeOf('--hostile', '3', '--no-siege')]).toEqual([true, false]);
  });

  test('takes how many screenshots, and where they are read', () => {
    const argv = ['--url', 'http://a', '--screenshots', '3', '--screenshots-url', 'http://b:1/'];
    expect(parseCommandLine(argv).options).toMatchObject({ screenshots: 3, origins: { screenshots: 'http://b:1' } });
  });

  test('takes several gateways and a file of keys', () => {
    const file = path.join(mkdtempSync(path.join(tmpdir(), 'worktide-fleet-')), 'keys');
    writeFileSync(file, '# two\nwaka_1\n\n waka_2 \n');
    const { options } = parseCommandLine([
      '--url',
      'http://a',
      '--ingest-url',
      'http://b:1,http://c:2',
      '--keys',
      file,
    ]);
    expect(options).toMatchObject({ origins: { ingest: ['http://b:1', 'http://c:2'] }, keys: ['waka_1', 'waka_2'] });
  });

  test.each([
    [[], '--url is required'],
    [['--url', 'ftp://a'], '--url is not an http(s) URL'],
    [['--url', 'http://a', '--agents', '3x'], '--agents must be a whole number'],
    [['--url', 'http://a', '--agents', '0'], '--agents must be a whole number'],
    [['--url', 'http://a', '--days', '81'], '--days must be a whole number from 1 to 80'],
    [['--url', 'http://a', '--screenshots', '-1'], '--screenshots'],
    [['--url', 'http://a', '--now', 'noon'], '--now is not an instant'],
    [['--url', 'http://a', '--run-id', 'A B'], '--run-id takes'],
    [['--url', 'http://a', '--keys', '/no/such/file'], '--keys /no/such/file cannot be read'],
    [['--url', 'http://a', '--speed', '3'], "Unknown option '--speed'"],
    [['--url', 'http://a', 'more'], 'more'],
  ])('refuses %j', (argv, message) => {
    expect(() => parseCommandLine(argv)).toThrow(UsageError);
    expect(() => parseCommandLine(argv)).toThrow(message);
  });
});
