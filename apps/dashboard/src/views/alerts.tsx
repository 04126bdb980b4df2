import { useInfiniteQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { client } from '../api/client.ts';
import { useAccount } from '../api/session.ts';
import { Button, Choice } from '../parts/controls.tsx';
import { useNames } from '../parts/people.tsx';
import { Badge, Box, Empty, Page, Shown } from '../parts/states.tsx';
import { tried } from '../parts/toasts.tsx';
import { t } from '../text/index.ts';
import { dayOf, momentOf, told } from '../time/format.ts';

export function Alerts() {
  const { user } = useAccount();
  const { state } = useSearch({ strict: false }) as { state?: 'open' | 'resolved' };
  const { id: chosen } = useParams({ strict: false });
  const navigate = useNavigate();
  const queries = useQueryClient();
  const nameOf = useNames();
  // Who follows a link to one sees it whatever its state.
  const shown = chosen === undefined ? (state ?? 'open') : undefined;
  const query = { limit: 100, ...(shown ? { state: shown } : {}) };
  const pages = useInfiniteQuery({
    queryKey: ['get', '/api/v1/alerts', query],
    queryFn: async ({ pageParam, signal }) => {
      const { data } = await client.GET('/api/v1/alerts', {
        params: { query: { ...query, ...(pageParam ? { cursor: pageParam } : {}) } },
        signal,
      });
      return data!;
    },
    initialPageParam: '',
    getNextPageParam: (last) => last.nextCursor,
  });
  const alerts = pages.data?.pages.flatMap(({ items }) => items) ?? [];
  const resolve = async (id: string): Promise<void> => {
    await tried(
      () => client.POST('/api/v1/alerts/{id}/resolve', { params: { path: { id } } }),
      t('The alert is resolved.'),
    );
    await queries.invalidateQueries({ queryKey: ['get', '/api/v1/alerts'] });
  };
  return (
    <Page title={t('Alerts')}>
      <Choice
        label={t('State')}
        value={shown ?? 'all'}
        options={[
          { value: 'open', text: t('Open') },
          { value: 'resolved', text: t('Resolved') },
          ...(chosen === undefined ? [] : [{ value: 'all' as const, text: t('All') }]),
        ]}
        onValue={(next) => next !== 'all' && void navigate({ to: '/alerts', search: { state: next } })}
      />
      <Shown
        of={pages}
        isEmpty={() => alerts.length === 0}
        empty={<Empty title={t('No alerts.')}>{t('All is well.')}</Empty>}
      >
        {() => (
          <Box flush title={t('Alerts')}>
            <table className="table">
              <thead>
                <tr>
                  <th scope="col">{t('Who')}</th>
                  <th scope="col">{t('Kind')}</th>
                  <th scope="col">{t('Day')}</th>
                  <th scope="col">{t('What')}</th>
                  <th scope="col">{t('State')}</th>
                </tr>
              </thead>
              <tbody>
                {alerts.map((alert) => (
                  <tr key={alert.id} className={alert.id === chosen ? 'bg-tint' : ''}>
                    <td>{nameOf(alert.userId)}</td>
                    <td>
                      <Badge tone="warn">{alert.type === 'idle' ? t('Idle timer') : t('Long day')}</Badge>
                    </td>
                    <td className="whitespace-nowrap">
                      <Link to="/timeline" search={{ date: alert.date, userId: alert.userId }} className="underline">
                        {dayOf(alert.date, 'short')}
                      </Link>
                    </td>
                    <td>{told(alert.message, user.timezone)}</td>
                    <td>
                      {alert.resolvedAt === null ? (
                        <Button small onPress={() => void resolve(alert.id)}>
                          {t('Resolve')}
                        </Button>
                      ) : (
                        <span className="text-quiet">
                          ✓ {momentOf(alert.resolvedAt, user.timezone)}
                          {alert.resolvedBy ? ` · ${nameOf(alert.resolvedBy)}` : ''}
                        </span>
                      )}
                    </td>
                  </tr>
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
