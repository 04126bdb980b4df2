const kept = 'worktide.theme';
export type Theme = 'system' | 'light' | 'dark';

export const themeOf = (): Theme => (localStorage.getItem(kept) as Theme | null) ?? 'system';

export function applyTheme(theme = themeOf()): void {
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

export function setTheme(theme: Theme): void {
  if (theme === 'system') localStorage.removeItem(kept);
  else localStorage.setItem(kept, theme);
  applyTheme(theme);
}
