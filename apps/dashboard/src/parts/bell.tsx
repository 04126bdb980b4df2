import { useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Button as AriaButton, Dialog as AriaDialog, DialogTrigger, Popover } from 'react-aria-components';
import { api, client } from '../api/client.ts';
import { useAccount } from '../api/session.ts';
import { t } from '../text/index.ts';
import { ago, number, told } from '../time/format.ts';
import { Button } from './controls.tsx';
import { tried } from './toasts.tsx';

/** Whether its body is a sentence of a service, and not a title or a name that somebody gave. */
const isOurs = (type: string): boolean => /^(alert|webhook)\./.test(type);

export function Bell() {
  const { user } = useAccount();
  const queries = useQueryClient();
  const { data } = api.useQuery('get', '/api/v1/notifications', { params: { query: { limit: 20 } } });
  const unread = data?.unread ?? 0;
  const readAll = () =>
    tried(async () => {
      await client.POST('/api/v1/notifications/read', { body: { all: true } });
      await queries.invalidateQueries({ queryKey: ['get', '/api/v1/notifications'] });
    });
  return (
    <DialogTrigger>
      <AriaButton
        aria-label={unread > 0 ? t('Notifications, {n} not read', { n: unread }) : t('Notifications')}
        className="relative grid size-10 shrink-0 cursor-pointer place-items-center rounded-full data-[hovered]:bg-tint"
      >
        <svg viewBox="0 0 20 20" className="size-5 fill-none stroke-current stroke-[1.6]" aria-hidden="true">
          <path d="M4 14V9a6 6 0 0 1 12 0v5l1.5 1.5h-15zM8 17.5c.5 1.5 3.5 1.5 4 0" strokeLinejoin="round" />
        </svg>
        {unread > 0 && (
          <span className="absolute top-0 right-0 min-w-5 rounded-full bg-bad px-1 text-xs font-semibold text-page">
            {unread > 99 ? '99+' : number(unread)}
          </span>
        )}
      </AriaButton>
      <Popover placement="bottom end" className="box z-30 w-[min(24rem,calc(100vw-1.5rem))] bg-raised shadow-xl">
        <AriaDialog aria-label={t('Notifications')} className="max-h-[70vh] overflow-y-auto outline-none">
          {({ close }) => (
            <>
              <div className="flex flex-wrap items-center justify-between gap-2 border-b border-line p-3">
                <h2>{t('Notifications')}</h2>
                {unread > 0 && (
                  <Button small onPress={readAll}>
                    {t('Mark all as read')}
                  </Button>
                )}
              </div>
              {(data?.items.length ?? 0) === 0 && <p className="p-6 text-center text-quiet">{t('Nothing new.')}</p>}
              <ul>
                {data?.items.map(({ id, type, title, body, link, createdAt, readAt }) => (
                  <li key={id} className="border-b border-line last:border-0">
                    <Link to={link as '/'} onClick={close} className="block px-4 py-2.5 no-underline hover:bg-tint">
                      <span className={`block ${readAt ? '' : 'font-semibold'}`}>
                        {!readAt && <span className="sr-only">{t('Not read:')} </span>}
                        {told(title, user.timezone)}
                      </span>
                      {body && <span className="block text-sm">{isOurs(type) ? told(body, user.timezone) : body}</span>}
                      <span className="block text-sm text-quiet">{ago(createdAt)}</span>
                    </Link>
                  </li>
                ))}
              </ul>
            </>
          )}
        </AriaDialog>
      </Popover>
    </DialogTrigger>
  );
}
