import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { useAccount } from '../../api/session.ts';
import { isManager } from '../../parts/people.tsx';
import { Page } from '../../parts/states.tsx';
import { type Text, t } from '../../text/index.ts';

const kinds: readonly { to: string; text: Text; forManagers?: true }[] = [
  { to: '/reports/days', text: 'Days' },
  { to: '/reports/apps', text: 'Apps' },
  { to: '/reports/sites', text: 'Sites' },
  { to: '/reports/hours', text: 'Hours of the day' },
  { to: '/reports/trends', text: 'Trends' },
  { to: '/reports/timesheet', text: 'Timesheet' },
  { to: '/reports/team', text: 'Team', forManagers: true },
  { to: '/reports/organization', text: 'Organisation', forManagers: true },
  { to: '/reports/exports', text: 'Exports' },
];

export function ReportFrame({ title, actions, children }: { title: string; actions?: ReactNode; children: ReactNode }) {
  const { user } = useAccount();
  return (
    <Page title={title} actions={actions}>
      <nav aria-label={t('Reports')} className="no-print -mx-1 overflow-x-auto">
        <ul className="flex gap-1 px-1 pb-1">
          {kinds
            .filter(({ forManagers }) => !forManagers || isManager(user.role))
            .map(({ to, text }) => (
              <li key={to}>
                <Link
                  to={to}
                  className="block rounded-full border border-line px-3 py-1.5 text-sm whitespace-nowrap no-underline hover:bg-tint aria-[current=page]:border-accent aria-[current=page]:bg-tint aria-[current=page]:font-semibold aria-[current=page]:text-accent"
                >
                  {t(text)}
                </Link>
              </li>
            ))}
        </ul>
      </nav>
      {children}
    </Page>
  );
}
