/** What stands in the `User-Agent` of plugins: `wakatime/v1.98.1 (linux-6.1-x86_64) go1.22 vscode/1.92 vscode-wakatime/24.6`. */
export interface Plugin {
  /** As people know it, e.g. `VS Code`. */
  editor: string;
  os: string | null;
}

const editors: Record<string, string> = {
  vscode: 'VS Code',
  vscodium: 'VSCodium',
  vim: 'Vim',
  neovim: 'Neovim',
  intellij: 'IntelliJ IDEA',
  intellijidea: 'IntelliJ IDEA',
  pycharm: 'PyCharm',
  webstorm: 'WebStorm',
  phpstorm: 'PhpStorm',
  goland: 'GoLand',
  rubymine: 'RubyMine',
  clion: 'CLion',
  androidstudio: 'Android Studio',
  'android-studio': 'Android Studio',
  visualstudio: 'Visual Studio',
  'visual-studio': 'Visual Studio',
  sublime: 'Sublime Text',
  emacs: 'Emacs',
  xcode: 'Xcode',
  jupyter: 'Jupyter',
  zsh: 'Zsh',
  bash: 'Bash',
  terminal: 'Terminal',
};
const systems: Record<string, string> = {
  darwin: 'Mac',
  linux: 'Linux',
  windows: 'Windows',
  freebsd: 'FreeBSD',
  wsl: 'WSL',
};

const known = (names: Record<string, string>, name: string): string | undefined =>
  Object.hasOwn(names, name.toLowerCase()) ? names[name.toLowerCase()] : undefined;

const named = (name: string): string => known(editors, name) ?? name.charAt(0).toUpperCase() + name.slice(1);

/** @param text of any length and kind: it is a claim of whoever sends it. */
export function readUserAgent(text: string | null): Plugin {
  const parts = (text ?? '')
    .slice(0, 512)
    .split(' ')
    .filter((part) => part !== '');
  const plugin = parts.findLast((part) => /^[\w.-]+-wakatime\//i.test(part));
  const before = plugin === undefined ? undefined : parts[parts.lastIndexOf(plugin) - 1];
  const [, product] = /^([\p{L}\p{N}_.-]{1,64})\/\S*$/u.exec(before ?? '') ?? [];
  const own = plugin?.slice(0, plugin.toLowerCase().indexOf('-wakatime/'));
  // Where no editor stands before the plugin, as with the browsers', it is named by its plugin.
  const editor = product !== undefined && !/^(go|wakatime|python)/i.test(product) ? product : own;
  const [, system] = /\((\w+)[-;)]/.exec((text ?? '').slice(0, 512)) ?? [];
  return {
    editor: editor === undefined || editor === '' ? 'Unknown editor' : named(editor).slice(0, 64),
    os: system === undefined ? null : (known(systems, system) ?? system.slice(0, 64)),
  };
}
