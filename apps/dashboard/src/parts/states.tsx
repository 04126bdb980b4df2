import { type ReactNode, useEffect } from 'react';
import { ApiError } from '../api/client.ts';
import { type Text, t } from '../text/index.ts';
import { Button } from './controls.tsx';

const said: Partial<Record<string, Text>> = {
  OFFLINE: 'Worktide cannot be reached. It goes on by itself when you are back.',
  FORBIDDEN: 'You may not see this. An administrator can give you the right.',
  ADDRESS_NOT_VERIFIED: 'Follow the link in the mail to your address first.',
  INVALID_CREDENTIALS: 'The address or the password is wrong.',
  ACCOUNT_NOT_ACTIVE: 'This account is not active; ask an administrator.',
  EMAIL_TAKEN: 'This address has an account already.',
  INVALID_TOKEN: 'This link is not valid any more.',
  OVERLAP: 'This overlaps another entry of that time.',
  TIMER_RUNNING: 'A timer runs already.',
  STALE_VERSION: 'It was changed elsewhere meanwhile. Look at it again.',
  LAST_ADMIN: 'An organisation keeps at least one active administrator.',
  SEAT_LIMIT: 'All seats of the plan are taken.',
  RATE_LIMITED: 'Too often. Wait a moment and try again.',
};

/** What a person is told of a failure: in their language where it is one we know, else what the service says. */
export function sentenceOf(error: unknown): string {
  if (error instanceof ApiError) {
    const known = said[error.code];
    const details = error.details.map((one) =>
      one.path ? `${one.path.replace('body.', '')}: ${one.message}` : one.message,
    );
    return [known ? t(known) : error.message, ...(known ? [] : details)].join(' ');
  }
  return error instanceof Error ? error.message : String(error);
}

export function Failure({ error, onRetry }: { error: unknown; onRetry?: (() => void) | undefined }) {
  return (
    <div role="alert" className="box border-bad bg-bad-tint p-4">
      <p className="font-medium">{sentenceOf(error)}</p>
      {onRetry && (
        <Button small className="mt-3" onPress={onRetry}>
          {t('Try again')}
        </Button>
      )}
    </div>
  );
}

export function Loading() {
  return (
    <div role="status" className="space-y-3" aria-label={t('Loading')}>
      <div className="h-5 w-1/3 animate-pulse rounded bg-line" />
      <div className="h-24 animate-pulse rounded-xl bg-line" />
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="box border-dashed p-8 text-center">
      <p className="font-medium">{title}</p>
      {children && <div className="mt-2 text-quiet">{children}</div>}
    </div>
  );
}

export function Forbidden() {
  return (
    <Empty title={t('This page is for managers and administrators.')}>
      {t('Your own time is under Today and Reports.')}
    </Empty>
  );
}

interface Asked<T> {
  data: T | undefined;
  error: unknown;
  isPending: boolean;
  refetch: () => unknown;
}

/** Loading, failing, forbidden, or what was asked for; what is there stays there while a new look fails. */
export function Shown<T>({
  of,
  children,
  isEmpty,
  empty,
}: {
  of: Asked<T>;
  children: (data: T) => ReactNode;
  isEmpty?: (data: T) => boolean;
  empty?: ReactNode;
}) {
  if (of.data !== undefined) return isEmpty?.(of.data) ? empty : children(of.data);
  if (of.error instanceof ApiError && of.error.status === 403 && of.error.code === 'FORBIDDEN') return <Forbidden />;
  if (of.error) return <Failure error={of.error} onRetry={() => void of.refetch()} />;
  return <Loading />;
}

/** The frame of a view: its title, also of the tab, and what acts on all of it. */
export function Page({
  title,
  actions,
  children,
  wide,
}: {
  title: string;
  actions?: ReactNode;
  children: ReactNode;
  wide?: boolean;
}) {
  useEffect(() => {
    document.title = `${title} · Worktide`;
  }, [title]);
  return (
    <div className={`mx-auto w-full ${wide ? 'max-w-[110rem]' : 'max-w-6xl'} space-y-5`}>
      <div className="flex flex-wrap items-center justify-between gap-3">
        <h1>{title}</h1>
        {actions && <div className="no-print flex flex-wrap items-center gap-2">{actions}</div>}
      </div>
      {children}
    </div>
  );
}

export function Box({
  title,
  actions,
  children,
  className = '',
  flush,
}: {
  title?: string;
  actions?: ReactNode;
  children: ReactNode;
  className?: string;
  flush?: boolean;
}) {
  return (
    <section className={`box min-w-0 ${className}`}>
      {(title || actions) && (
        <div className={`flex flex-wrap items-center justify-between gap-2 px-4 pt-3 ${flush ? 'pb-2' : ''}`}>
          {title && <h2>{title}</h2>}
          {actions && <div className="no-print flex flex-wrap items-center gap-2">{actions}</div>}
        </div>
      )}
      {/* A wide table scrolls by keyboard as well. */}
      {flush ? (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls is to be scrolled by keyboard.
        <section className="relative overflow-x-auto" tabIndex={0} aria-label={title ?? t('Table')}>
          {children}
        </section>
      ) : (
        <div className="p-4">{children}</div>
      )}
    </section>
  );
}

const tones = {
  good: 'text-good border-good',
  warn: 'text-warn border-warn',
  bad: 'text-bad border-bad',
  plain: 'text-quiet border-line',
  accent: 'text-accent border-accent',
} as const;

export function Badge({ tone = 'plain', children }: { tone?: keyof typeof tones; children: ReactNode }) {
  return (
    <span
      className={`inline-flex items-center gap-1 rounded-full border px-2 text-xs font-medium whitespace-nowrap ${tones[tone]}`}
    >
      {children}
    </span>
  );
}

export function Stat({ label, value, hint }: { label: string; value: ReactNode; hint?: ReactNode }) {
  return (
    <div className="box px-4 py-3">
      <div className="text-sm text-quiet">{label}</div>
      <div className="text-2xl font-semibold" data-figure>
        {value}
      </div>
      {hint && <div className="text-sm text-quiet">{hint}</div>}
    </div>
  );
}
