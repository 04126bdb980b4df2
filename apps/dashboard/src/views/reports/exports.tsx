import { useQueryClient } from '@tanstack/react-query';
import { useParams } from '@tanstack/react-router';
import { api, client } from '../../api/client.ts';
import { useAccount } from '../../api/session.ts';
import { Button } from '../../parts/controls.tsx';
import { Badge, Box, Empty, Shown } from '../../parts/states.tsx';
import { tried } from '../../parts/toasts.tsx';
import { t } from '../../text/index.ts';
import { bytes, momentOf, number } from '../../time/format.ts';
import { ReportFrame } from './frame.tsx';

export function Exports() {
  const { user } = useAccount();
  const { id: chosen } = useParams({ strict: false });
  const queries = useQueryClient();
  const list = api.useQuery(
    'get',
    '/api/v1/reports/exports',
    { params: { query: { limit: 100 } } },
    {
      refetchInterval: ({ state }) =>
        state.data?.items.some(({ status }) => status === 'queued' || status === 'running') ? 1_000 : false,
    },
  );
  const statuses = {
    queued: t('Waiting'),
    running: t('Being written'),
    ready: t('Ready'),
    failed: t('Failed'),
    cancelled: t('Cancelled'),
  };
  const remove = (id: string) =>
    tried(async () => {
      await client.DELETE('/api/v1/reports/exports/{id}', { params: { path: { id } } });
      await queries.invalidateQueries({ queryKey: ['get', '/api/v1/reports/exports'] });
    });
  // Links are good for minutes: one is asked for when it is wanted.
  const download = (id: string) =>
    tried(async () => {
      const { data } = await client.GET('/api/v1/reports/exports/{id}', { params: { path: { id } } });
      if (data?.url) location.assign(data.url);
    });
  return (
    <ReportFrame title={t('Exports')}>
      <Shown
        of={list}
        isEmpty={({ items }) => items.length === 0}
        empty={<Empty title={t('No exports.')}>{t('Every report has a button that makes one.')}</Empty>}
      >
        {({ items }) => (
          <Box flush title={t('Exports')}>
            <table className="table">
              <thead>
                <tr>
                  <th scope="col">{t('File')}</th>
                  <th scope="col">{t('State')}</th>
                  <th scope="col" className="number">
                    {t('Rows')}
                  </th>
                  <th scope="col" className="number">
                    {t('Size')}
                  </th>
                  <th scope="col">{t('Made')}</th>
                  <th scope="col">
                    <span className="sr-only">{t('Actions')}</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {items.map((one) => (
                  <tr key={one.id} className={one.id === chosen ? 'bg-tint' : ''}>
                    <td>{one.fileName}</td>
                    <td>
                      <Badge tone={one.status === 'ready' ? 'good' : one.status === 'failed' ? 'bad' : 'plain'}>
                        {statuses[one.status]}
                      </Badge>
                      {(one.status === 'queued' || one.status === 'running') && (
                        <progress value={one.progress} max={1} aria-label={one.fileName} className="ms-2 w-24" />
                      )}
                      {one.failure && <div className="text-sm text-bad">{one.failure.message}</div>}
                    </td>
                    <td className="number">{number(one.rows)}</td>
                    <td className="number">{bytes(one.bytes)}</td>
                    <td>{momentOf(one.createdAt, user.timezone)}</td>
                    <td className="number space-x-2">
                      {one.status === 'ready' && (
                        <Button small onPress={() => void download(one.id)}>
                          {t('Download')}
                        </Button>
                      )}
                      <Button small onPress={() => void remove(one.id)}>
                        {one.status === 'queued' || one.status === 'running' ? t('Cancel') : t('Delete')}
                      </Button>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </Box>
        )}
      </Shown>
    </ReportFrame>
  );
}
