/** What of a bucket says what its events are. */
export interface Bucket {
  /** `currentwindow`, `afkstatus`, `web.tab.current`, `app.editor.activity`; any other is nobody's time. */
  type: string;
  /** The watcher, e.g. `aw-watcher-web-firefox`. */
  client: string;
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

/** By the last word of a watcher's name that is known, as `aw-watcher-web-firefox`. */
function productOf(client: string, otherwise: string): string {
  const words = client
    .toLowerCase()
    .slice(0, 256)
    .split(/[^a-z]+/);
  const known = words.findLast((word) => Object.hasOwn(names, word));
  return known === undefined ? otherwise : names[known]!;
}

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

/** Whether an event is of a private window of a browser, which is kept nowhere. */
export const isPrivate = ({ incognito }: Record<string, unknown>): boolean => incognito === true;

/** @returns undefined for what is no time of a person: another type of bucket, or an event that does not say what it should. */
export function pingFieldsOf({ type, client }: Bucket, data: Record<string, unknown>): PingFields | undefined {
  const title = text(data.title);
  const titled = title === undefined ? {} : { title };
  switch (type) {
    case 'currentwindow': {
      const app = text(data.app);
      return app === undefined ? undefined : { app, source: 'window', state: 'active', ...titled };
    }
    case 'web.tab.current': {
      const url = text(data.url);
      if (url === undefined) return undefined;
      return { app: productOf(client, 'Browser'), source: 'web', state: 'active', url, ...titled };
    }
    case 'app.editor.activity': {
      const file = text(data.file);
      if (file === undefined) return undefined;
      return { app: productOf(client, 'Editor'), source: 'editor', state: 'active', title: file };
    }
    case 'afkstatus':
      if (data.status !== 'afk' && data.status !== 'not-afk') return undefined;
      return { app: 'afk', source: 'afk', state: data.status === 'afk' ? 'idle' : 'active' };
    default:
      return undefined;
  }
}
