import { expect, test } from '@jest/globals';
import { shownPath } from './shown-path.ts';

const key = 'waka_019cd7a0-0000-4000-8000-00000000000a';

test.each([
  [`/agent/${key}/api/0/info`, '/agent/hidden/api/0/info'],
  ['/agent/mistyped/x', '/agent/hidden/x'],
  [`/api/v1/${key.toUpperCase()}/x`, '/api/v1/hidden/x'],
  [`/x/${key.replace('_', '%5F')}`, '/x/hidden'],
  ['/api/v1/pings', '/api/v1/pings'],
  ['/wakatime', '/wakatime'],
])('%s is shown as %s', (path, shown) => {
  expect(shownPath(path)).toBe(shown);
});
