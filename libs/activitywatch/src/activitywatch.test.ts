import { describe, expect, test } from '@jest/globals';
import { countedEnd, type Event, goesOn } from './heartbeat.ts';
import { pingFieldsOf } from './ping-fields.ts';

const event = (startedAt: number, endedAt: number, app = 'A'): Event => ({ startedAt, endedAt, data: { app } });

describe('a heartbeat', () => {
  test.each([
    ['goes on with the same data', event(0, 10), event(15, 15), { startedAt: 0, endedAt: 15 }],
    ['brings its own length', event(0, 10), event(15, 40), { startedAt: 0, endedAt: 40 }],
    ['never shortens', event(0, 100), event(15, 20), { startedAt: 0, endedAt: 100 }],
    ['at the end of the pulse goes on', event(0, 10), event(20, 20), { startedAt: 0, endedAt: 20 }],
    ['after it does not', event(0, 10), event(21, 21), undefined],
    ['from before does not', event(5, 10), event(4, 20), undefined],
    ['with other data does not', event(0, 10), event(12, 12, 'B'), undefined],
    ['without a last one does not', undefined, event(12, 12), undefined],
  ])('%s', (_, last, heartbeat, expected) => {
    const found = goesOn(last, heartbeat, 10);
    expect(found && { startedAt: found.startedAt, endedAt: found.endedAt }).toEqual(expected);
  });

  test.each([
    ['without length it counts until the next', event(0, 0), event(7, 7, 'B'), 7],
    ['not where that comes too late', event(0, 0), event(11, 11, 'B'), 0],
    ['what reaches into the next ends there', event(0, 9), event(5, 5, 'B'), 5],
    ['nor does it end before it began', event(5, 9), event(3, 3, 'B'), 5],
  ])('%s', (_, one, next, expected) => {
    expect(countedEnd(one, next, 10)).toBe(expected);
  });
});

test.each([
  [
    'currentwindow',
    'aw-watcher-window',
    { app: 'Code', title: 'a.ts' },
    { app: 'Code', source: 'window', state: 'active', title: 'a.ts' },
  ],
  [
    'web.tab.current',
    'aw-watcher-web-firefox',
    { url: 'https://a.b/', title: '' },
    { app: 'Firefox', source: 'web', state: 'active', url: 'https://a.b/' },
  ],
  [
    'app.editor.activity',
    'aw-watcher-vscode',
    { file: 'a.ts' },
    { app: 'VS Code', source: 'editor', state: 'active', title: 'a.ts' },
  ],
  ['afkstatus', 'aw-watcher-afk', { status: 'afk' }, { app: 'afk', source: 'afk', state: 'idle' }],
  ['afkstatus', 'aw-watcher-afk', { status: 'not-afk' }, { app: 'afk', source: 'afk', state: 'active' }],
  ['afkstatus', 'aw-watcher-afk', { status: 'x' }, undefined],
  ['currentwindow', 'aw-watcher-window', { title: 'a' }, undefined],
  ['os.hid.input', 'aw-watcher-input', { presses: 1 }, undefined],
])('%s of %s %j is %j', (type, client, data, expected) => {
  expect(pingFieldsOf({ type, client }, data)).toEqual(expected);
});

test('what runs in a browser says in its bucket in which', () => {
  const bucket = { type: 'web.tab.current', client: 'aw-client-web', id: 'aw-watcher-web-brave_firefox-laptop' };
  expect(pingFieldsOf(bucket, { url: 'https://a.b/' })?.app).toBe('Brave');
});
