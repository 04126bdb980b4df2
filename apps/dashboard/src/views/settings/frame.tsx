import { Link, Outlet } from '@tanstack/react-router';
import { useAccount } from '../../api/session.ts';
import { Page } from '../../parts/states.tsx';
import { type Text, t } from '../../text/index.ts';

const parts: readonly { to: string; text: Text; forAdmins?: true }[] = [
  { to: '/settings/profile', text: 'Profile' },
  { to: '/settings/security', text: 'Password and sessions' },
  { to: '/settings/agent-keys', text: 'Agent keys' },
  { to: '/settings/notifications', text: 'Notifications' },
  { to: '/settings/imports', text: 'Imports' },
  { to: '/settings/organization', text: 'Organisation', forAdmins: true },
  { to: '/settings/webhooks', text: 'Webhooks', forAdmins: true },
];

export function Settings() {
  const { user } = useAccount();
  return (
    <Page title={t('Settings')}>
      <div className="grid gap-5 md:grid-cols-[13rem_minmax(0,1fr)]">
        <nav aria-label={t('Settings')}>
          <ul className="flex flex-wrap gap-1 md:flex-col">
            {parts
              .filter(({ forAdmins }) => !forAdmins || user.role === 'admin')
              .map(({ to, text }) => (
                <li key={to}>
                  <Link
                    to={to}
                    className="block rounded-lg px-3 py-2 no-underline hover:bg-tint aria-[current=page]:bg-tint aria-[current=page]:font-semibold aria-[current=page]:text-accent"
                  >
                    {t(text)}
                  </Link>
                </li>
              ))}
          </ul>
        </nav>
        <div className="min-w-0 space-y-5">
          <Outlet />
        </div>
      </div>
    </Page>
  );
}
