import { Link, Outlet, useRouterState } from '@tanstack/react-router';
import { useEffect, useRef, useState } from 'react';
import { Button as AriaButton, Menu, MenuItem, MenuTrigger, Popover, Separator } from 'react-aria-components';
import { client } from './api/client.ts';
import { type Connection, useConnection } from './api/live.ts';
import { logOut, useSession } from './api/session.ts';
import { Bell } from './parts/bell.tsx';
import { Button } from './parts/controls.tsx';
import { isManager } from './parts/people.tsx';
import { setTheme, type Theme, themeOf } from './parts/theme.ts';
import { Timer } from './parts/timer.tsx';
import { tried } from './parts/toasts.tsx';
import { type Language, setLanguage, type Text, t, useLanguage } from './text/index.ts';

interface Entry {
  to: string;
  text: Text;
  icon: string;
  for?: 'manager' | 'admin';
}

/** Paths of 20 × 20 icons, drawn with one line. */
const entries: readonly Entry[] = [
  { to: '/', text: 'Today', icon: 'M10 3v7l4 3M10 1a9 9 0 1 0 0 18 9 9 0 0 0 0-18' },
  { to: '/timeline', text: 'Timeline', icon: 'M2 5h9M5 10h11M8 15h10' },
  { to: '/reports', text: 'Reports', icon: 'M3 18V9M8 18V3M13 18v-6M18 18V6' },
  { to: '/tasks', text: 'Tasks', icon: 'M3 5l2 2 3-4M3 13l2 2 3-4M11 5h7M11 13h7' },
  { to: '/projects', text: 'Projects', icon: 'M2 5h6l2 2h8v10H2z' },
  { to: '/screenshots', text: 'Screenshots', icon: 'M2 4h16v11H2zM7 18h6' },
  { to: '/alerts', text: 'Alerts', icon: 'M10 2l8.5 15h-17zM10 8v4M10 14.5v.5' },
  {
    to: '/team',
    text: 'Team',
    icon: 'M7 9a3 3 0 1 0 0-6 3 3 0 0 0 0 6M1 17c0-4 12-4 12 0M14 4a3 3 0 0 1 0 5M15 12c3 .5 4 2 4 5',
    for: 'manager',
  },
  { to: '/teams', text: 'Teams', icon: 'M3 3h6v6H3zM11 11h6v6h-6zM11 3h6v6h-6zM3 11h6v6H3z' },
  { to: '/people', text: 'People', icon: 'M10 10a4 4 0 1 0 0-8 4 4 0 0 0 0 8M2 18c0-6 16-6 16 0', for: 'manager' },
  {
    to: '/sql',
    text: 'SQL',
    icon: 'M3 5c0-4 14-4 14 0v10c0 4-14 4-14 0zM3 5c0 4 14 4 14 0M3 10c0 4 14 4 14 0',
    for: 'manager',
  },
  { to: '/audit', text: 'Audit', icon: 'M5 2h7l4 4v12H5zM8 9h5M8 13h5', for: 'admin' },
  { to: '/privacy', text: 'Privacy', icon: 'M10 2l7 3v5c0 4-3 7-7 8-4-1-7-4-7-8V5z' },
  {
    to: '/settings',
    text: 'Settings',
    icon: 'M10 7a3 3 0 1 0 0 6 3 3 0 0 0 0-6M10 1v3M10 16v3M1 10h3M16 10h3M4 4l2 2M14 14l2 2M16 4l-2 2M6 14l-2 2',
  },
];

const mayEnter = (entry: Entry, role: string): boolean =>
  entry.for === undefined || (entry.for === 'manager' ? isManager(role) : role === 'admin');

function Nav({ role, onGo }: { role: string; onGo?: () => void }) {
  return (
    <nav aria-label={t('Main')}>
      <ul className="space-y-0.5">
        {entries
          .filter((entry) => mayEnter(entry, role))
          .map(({ to, text, icon }) => (
            <li key={to}>
              <Link
                to={to}
                {...(onGo ? { onClick: onGo } : {})}
                activeOptions={{ exact: to === '/' }}
                className="flex min-h-10 items-center gap-3 rounded-lg px-3 no-underline hover:bg-tint aria-[current=page]:bg-tint aria-[current=page]:font-semibold aria-[current=page]:text-accent"
              >
                <svg
                  viewBox="0 0 20 20"
                  className="size-5 shrink-0 fill-none stroke-current stroke-[1.6]"
                  aria-hidden="true"
                >
                  <path d={icon} strokeLinecap="round" strokeLinejoin="round" />
                </svg>
                {t(text)}
              </Link>
            </li>
          ))}
      </ul>
    </nav>
  );
}

function AccountMenu({ name, email }: { name: string; email: string }) {
  const language = useLanguage();
  const [theme, chooseTheme] = useState<Theme>(themeOf());
  const themes: readonly [Theme, Text][] = [
    ['system', 'As the system'],
    ['light', 'Light'],
    ['dark', 'Dark'],
  ];
  const languages: readonly [Language, string][] = [
    ['en', 'English'],
    ['de', 'Deutsch'],
  ];
  const item =
    'flex min-h-9 cursor-pointer items-center justify-between gap-4 rounded-md px-3 outline-none data-[focused]:bg-tint';
  const initials = name
    .split(/\s+/)
    .map((part) => /[\p{L}\p{N}]/u.exec(part)?.[0] ?? '')
    .slice(0, 2)
    .join('');
  return (
    <MenuTrigger>
      <AriaButton className="grid size-10 shrink-0 cursor-pointer place-items-center rounded-full border border-line bg-tint text-sm font-semibold text-accent">
        <span aria-hidden="true">{initials.toUpperCase() || '?'}</span>
        <span className="sr-only">
          {t('Account')}: {name}
        </span>
      </AriaButton>
      <Popover placement="bottom end" className="box z-30 w-64 bg-raised p-1 shadow-xl">
        <div className="px-3 py-2">
          <div className="truncate font-semibold">{name}</div>
          <div className="truncate text-sm text-quiet">{email}</div>
        </div>
        <Menu
          aria-label={t('Account')}
          className="outline-none"
          onAction={(key) => {
            const [kind, value] = String(key).split(':');
            if (kind === 'theme') {
              setTheme(value as Theme);
              chooseTheme(value as Theme);
            } else if (kind === 'language') void setLanguage(value as Language);
            else if (key === 'leave') void logOut();
          }}
        >
          <MenuItem href="/settings/profile" className={item}>
            {t('Settings')}
          </MenuItem>
          <Separator className="my-1 border-line" />
          {themes.map(([value, text]) => (
            <MenuItem key={value} id={`theme:${value}`} textValue={t(text)} className={item}>
              {t(text)}{' '}
              {theme === value && (
                <span role="img" aria-label={t('chosen')}>
                  ✓
                </span>
              )}
            </MenuItem>
          ))}
          <Separator className="my-1 border-line" />
          {languages.map(([value, text]) => (
            <MenuItem key={value} id={`language:${value}`} textValue={text} className={item}>
              {text}{' '}
              {language === value && (
                <span role="img" aria-label={t('chosen')}>
                  ✓
                </span>
              )}
            </MenuItem>
          ))}
          <Separator className="my-1 border-line" />
          <MenuItem id="leave" className={item}>
            {t('Log out')}
          </MenuItem>
        </Menu>
      </Popover>
    </MenuTrigger>
  );
}

function Away({ connection }: { connection: Connection }) {
  const [isOnline, setOnline] = useState(navigator.onLine);
  const [isLong, setLong] = useState(false);
  useEffect(() => {
    const look = () => setOnline(navigator.onLine);
    window.addEventListener('online', look);
    window.addEventListener('offline', look);
    return () => {
      window.removeEventListener('online', look);
      window.removeEventListener('offline', look);
    };
  }, []);
  useEffect(() => {
    // A socket that comes back at once is nobody's concern.
    const timer = setTimeout(() => setLong(connection === 'away'), connection === 'away' ? 1_500 : 0);
    return () => clearTimeout(timer);
  }, [connection]);
  return (
    <div role="status" className="no-print">
      {(!isOnline || (isLong && connection === 'away')) && (
        <p className="border-b border-warn bg-surface px-4 py-2 text-warn">
          {isOnline
            ? t('Live updates are away. What you see may be older; it comes back by itself.')
            : t('You are offline. What you see may be older; it comes back by itself.')}
        </p>
      )}
    </div>
  );
}

export function Shell() {
  const session = useSession();
  const connection = useConnection();
  const [isOpen, setOpen] = useState(false);
  const path = useRouterState({ select: (state) => state.location.pathname });
  const shown = useRouterState({ select: (state) => state.resolvedLocation?.href });
  const main = useRef<HTMLElement>(null);
  const before = useRef(path);
  // Another page begins at its top, and who goes by keyboard or ear is there.
  useEffect(() => {
    if (before.current === path) return;
    before.current = path;
    setOpen(false);
    window.scrollTo(0, 0);
    main.current?.focus({ preventScroll: true });
  }, [path]);
  if (session.status !== 'in') return null;
  const { user, organization } = session;
  return (
    <div className="min-h-screen lg:grid lg:grid-cols-[15rem_minmax(0,1fr)]">
      <a
        href="#main"
        className="sr-only z-50 rounded bg-accent px-3 py-2 text-on-accent focus:not-sr-only focus:fixed focus:top-2 focus:left-2"
      >
        {t('To the content')}
      </a>
      <aside className="no-print sticky top-0 hidden h-screen flex-col gap-4 overflow-y-auto border-e border-line bg-surface p-3 lg:flex">
        <Link to="/" className="flex items-center gap-2.5 px-2 pt-1 no-underline">
          <img src="/mark.svg" alt="" className="size-8" />
          <span className="min-w-0">
            <span className="block font-semibold">Worktide</span>
            <span className="block truncate text-sm text-quiet">{organization.name}</span>
          </span>
        </Link>
        <Nav role={user.role} />
      </aside>
      <div className="min-w-0">
        <header className="no-print sticky top-0 z-20 flex min-h-16 items-center gap-2 border-b border-line bg-surface px-3 sm:px-5">
          <Button
            look="quiet"
            className="lg:hidden"
            aria-label={t('Menu')}
            aria-expanded={isOpen}
            onPress={() => setOpen(!isOpen)}
          >
            <svg viewBox="0 0 20 20" className="size-5 stroke-current stroke-2" aria-hidden="true">
              <path d="M2 5h16M2 10h16M2 15h16" />
            </svg>
          </Button>
          <div className="min-w-0 flex-1">
            <Timer />
          </div>
          <Bell />
          <AccountMenu name={user.name} email={user.email} />
        </header>
        {isOpen && (
          <div className="no-print border-b border-line bg-surface p-3 lg:hidden">
            <Nav role={user.role} onGo={() => setOpen(false)} />
          </div>
        )}
        <Away connection={connection} />
        {!user.verified && (
          <div className="flex flex-wrap items-center gap-3 border-b border-warn bg-surface px-4 py-2 text-warn">
            {t('Follow the link in the mail to your address first.')}
            <Button
              small
              onPress={() => void tried(() => client.POST('/api/v1/auth/verify/resend'), t('A mail is on its way.'))}
            >
              {t('Send it again')}
            </Button>
          </div>
        )}
        <main ref={main} id="main" data-shown={shown} className="px-3 py-5 outline-none sm:px-6" tabIndex={-1}>
          <Outlet />
        </main>
      </div>
    </div>
  );
}
