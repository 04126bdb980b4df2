/** What of a bucket says what its events are. */
export interface Bucket {
  /** `currentwindow`, `afkstatus`, `web.tab.current`, `app.editor.activity`; any other is nobody's time. */
  type: string;
  /** The watcher, e.g. `aw-watcher-window`. */
  client: string;
  /** `<watcher>_<hostname>`; what runs in a browser says only here in which, e.g. `aw-watcher-web-firefox_laptop`. */
  id?: string;
}

/** What an event is as a ping, besides when it was. */
export interface PingFields {
  app: string;
  source: 'window' | 'web' | 'editor' | 'afk';
  state: 'active' | 'idle';
  title?: string;
  url?: string;
}

const names: Record<string, string> = {
  firefox: 'Firefox',
  chrome: 'Google Chrome',
  chromium: 'Chromium',
  edge: 'Microsoft Edge',
  brave: 'Brave',
  opera: 'Opera',
  vivaldi: 'Vivaldi',
  safari: 'Safari',
  vscode: 'VS Code',
  vim: 'Vim',
  neovim: 'Neovim',
  emacs: 'Emacs',
  intellij: 'IntelliJ IDEA',
  jetbrains: 'JetBrains',
  sublime: 'Sublime Text',
};

/** By the last word of a watcher's names that is known, as `aw-watcher-web-firefox`. */
function productOf({ client, id = '' }: Bucket, otherwise: string): string {
  const words = `${client.slice(0, 256)} ${id.slice(0, 256).split('_')[0]}`.toLowerCase().split(/[^a-z]+/);
  const known = words.findLast((word) => Object.hasOwn(names, word));
  return known === undefined ? otherwise : names[known]!;
}

/** Characters of an app that are kept, as a ping may have them. */
const maxApp = 256;

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

/** A name as a ping takes it: time is worth more than the end of a long name. */
const appOf = (value: unknown): string | undefined =>
  text(value) &&
  [...text(value)!.slice(0, 2 * maxApp)].slice(0, maxApp).join('').toWellFormed().replaceAll('\u0000', '\ufffd');

/** Whether an event is of a private window of a browser, which is kept nowhere. */
export const isPrivate = ({ incognito }: Record<string, unknown>): boolean => incognito === true;

/** @returns undefined for what is no time of a person: another type of bucket, or an event that does not say what it should. */
export function pingFieldsOf(bucket: Bucket, data: Record<string, unknown>): PingFields | undefined {
  const title = text(data.title);
  const titled = title === undefined ? {} : { title };
  switch (bucket.type) {
    case 'currentwindow': {
      const app = appOf(data.app);
      return app === undefined ? undefined : { app, source: 'window', state: 'active', ...titled };
    }
    case 'web.tab.current': {
      const url = text(data.url);
      if (url === undefined) return undefined;
      return { app: productOf(bucket, 'Browser'), source: 'web', state: 'active', url, ...titled };
    }
    case 'app.editor.activity': {
      const file = text(data.file);
      if (file === undefined) return undefined;
      return { app: productOf(bucket, 'Editor'), source: 'editor', state: 'active', title: file };
    }
    case 'afkstatus':
      if (data.status !== 'afk' && data.status !== 'not-afk') return undefined;
      return { app: 'afk', source: 'afk', state: data.status === 'afk' ? 'idle' : 'active' };
    default:
      return undefined;
  }
}

/** What buckets of ActivityWatch's own watchers are, by their names. */
const typesByName: [RegExp, string][] = [
  [/^aw-watcher-window/, 'currentwindow'],
  [/^aw-watcher-afk/, 'afkstatus'],
  [/^aw-watcher-web/, 'web.tab.current'],
  [/^aw-watcher-(vscode|vim|emacs|jetbrains|sublime)/, 'app.editor.activity'],
];

/** A bucket of which nobody has said what it is, by its id: `<client>_<hostname>`. */
export function bucketNamed(id: string): Omit<Bucket, 'id'> & { hostname: string } {
  const [, client, hostname] = /^(.+?)_(.+)$/.exec(id) ?? [];
  const type = typesByName.find(([name]) => name.test(id))?.[1] ?? 'unknown';
  return { type, client: client ?? id, hostname: hostname ?? 'unknown' };
}
