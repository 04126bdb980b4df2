import { useInfiniteQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { Fragment, useState } from 'react';
import { client } from '../api/client.ts';
import { useAccount } from '../api/session.ts';
import { Button, Input, Select } from '../parts/controls.tsx';
import { ExportButton } from '../parts/export-button.tsx';
import { useNames, usePeople } from '../parts/people.tsx';
import { Box, Empty, Forbidden, Page, Shown } from '../parts/states.tsx';
import { t } from '../text/index.ts';
import { momentOf } from '../time/format.ts';

export function Audit() {
  const { user } = useAccount();
  return user.role === 'admin' ? (
    <Trail />
  ) : (
    <Page title={t('Audit')}>
      <Forbidden />
    </Page>
  );
}

function Trail() {
  const { user } = useAccount();
  const search = useSearch({ from: '/inside/audit' });
  const navigate = useNavigate({ from: '/audit' });
  const nameOf = useNames();
  const { data: people = [] } = usePeople();
  const [open, setOpen] = useState<string>();
  const set = (change: Record<string, string>): void =>
    void navigate({
      search: (old) =>
        Object.fromEntries(Object.entries({ ...old, ...change }).filter(([, value]) => value !== '')) as typeof search,
      replace: true,
    });
  const pages = useInfiniteQuery({
    queryKey: ['get', '/api/v1/audit', search],
    queryFn: async ({ pageParam, signal }) => {
      const { data } = await client.GET('/api/v1/audit', {
        params: { query: { ...search, limit: 100, ...(pageParam ? { cursor: pageParam } : {}) } },
        signal,
      });
      return data!;
    },
    initialPageParam: '',
    getNextPageParam: (last) => last.nextCursor,
  });
  const items = pages.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <Page title={t('Audit')} actions={<ExportButton of={{ report: 'audit', ...search }} />}>
      <div className="no-print flex flex-wrap items-end gap-3">
        <Input
          label={t('Action')}
          placeholder="user.logged-in"
          value={search.action ?? ''}
          onText={(action) => set({ action })}
          className="w-full sm:w-56"
        />
        <Select
          label={t('Who')}
          options={[{ value: '', text: t('Everybody') }, ...people.map(({ id, name }) => ({ value: id, text: name }))]}
          value={search.actorId ?? ''}
          onValue={(actorId) => set({ actorId })}
          className="w-full sm:w-48"
        />
        <Input
          label={t('From')}
          type="date"
          value={search.from ?? ''}
          onText={(from) => set({ from })}
          className="w-full sm:w-44"
        />
        <Input
          label={t('To')}
          type="date"
          value={search.to ?? ''}
          onText={(to) => set({ to })}
          className="w-full sm:w-44"
        />
      </div>
      <Shown
        of={pages}
        isEmpty={() => items.length === 0}
        empty={<Empty title={t('Nothing of that kind happened.')} />}
      >
        {() => (
          <Box flush title={t('What was done')}>
            <table className="table">
              <thead>
                <tr>
                  <th scope="col">{t('When')}</th>
                  <th scope="col">{t('Who')}</th>
                  <th scope="col">{t('Action')}</th>
                  <th scope="col">{t('Object')}</th>
                  <th scope="col">{t('From where')}</th>
                </tr>
              </thead>
              <tbody>
                {items.map((one) => (
                  <Fragment key={one.id}>
                    <tr>
                      <td className="whitespace-nowrap">{momentOf(one.at, user.timezone)}</td>
                      <td>{one.actorType === 'user' || one.actorId ? nameOf(one.actorId) : one.actorType}</td>
                      <td>
                        <button
                          type="button"
                          aria-expanded={open === one.id}
                          className="cursor-pointer text-start underline"
                          onClick={() => setOpen(open === one.id ? undefined : one.id)}
                        >
                          {one.action}
                        </button>
                      </td>
                      <td>{one.entityType}</td>
                      <td>{one.ipAddress ?? '–'}</td>
                    </tr>
                    {open === one.id && (
                      <tr>
                        <td colSpan={5}>
                          <pre className="overflow-x-auto font-mono text-sm whitespace-pre-wrap">
                            {JSON.stringify(
                              {
                                entityId: one.entityId,
                                before: one.before,
                                after: one.after,
                                requestId: one.requestId,
                                userAgent: one.userAgent,
                              },
                              null,
                              2,
                            )}
                          </pre>
                        </td>
                      </tr>
                    )}
                  </Fragment>
                ))}
              </tbody>
            </table>
          </Box>
        )}
      </Shown>
      {pages.hasNextPage && (
        <div className="text-center">
          <Button onPress={() => void pages.fetchNextPage()}>{t('Show more')}</Button>
        </div>
      )}
    </Page>
  );
}
