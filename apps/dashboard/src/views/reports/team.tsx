import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { api, client, readAll } from '../../api/client.ts';
import { useAccount } from '../../api/session.ts';
import { Select } from '../../parts/controls.tsx';
import { ExportButton } from '../../parts/export-button.tsx';
import { isManager } from '../../parts/people.tsx';
import { RangeBar, useRange } from '../../parts/range.tsx';
import { Box, Empty, Forbidden, Shown } from '../../parts/states.tsx';
import { t } from '../../text/index.ts';
import { duration, percent } from '../../time/format.ts';
import { ReportFrame } from './frame.tsx';

export function TeamReport() {
  const { user } = useAccount();
  return isManager(user.role) ? (
    <Report />
  ) : (
    <ReportFrame title={t('Team')}>
      <Forbidden />
    </ReportFrame>
  );
}

/** By name, and in no other order: it says what was, and ranks nobody. */
function Report() {
  const range = useRange();
  const navigate = useNavigate();
  const query = {
    from: range.from,
    to: range.to,
    timezone: range.zone,
    ...(range.teamId ? { teamId: range.teamId } : {}),
  };
  const teams = api.useQuery('get', '/api/v1/teams', { params: { query: { limit: 500 } } });
  const rows = useQuery({
    queryKey: ['get', '/api/v1/reports/team', query],
    queryFn: ({ signal }) =>
      readAll((cursor) =>
        client.GET('/api/v1/reports/team', {
          params: { query: { ...query, limit: 500, ...(cursor ? { cursor } : {}) } },
          signal,
        }),
      ),
  });
  const options = [
    { value: '', text: t('Everybody') },
    ...(teams.data?.items ?? []).map(({ id, name }) => ({ value: id, text: name })),
  ];
  return (
    <ReportFrame title={t('Team')} actions={<ExportButton of={{ report: 'team', ...query }} />}>
      <RangeBar range={range} person={false} />
      <div className="no-print max-w-60">
        <Select
          label={t('Team')}
          options={options}
          value={range.teamId ?? ''}
          onValue={(teamId) =>
            void navigate({
              to: '.',
              search: (old: object) => ({ ...old, teamId: teamId || undefined }),
              replace: true,
            } as never)
          }
        />
      </div>
      <Shown
        of={rows}
        isEmpty={(all) => all.length === 0}
        empty={<Empty title={t('Nobody has time on these days.')} />}
      >
        {(people) => (
          <Box flush title={t('People')}>
            <table className="table">
              <thead>
                <tr>
                  <th scope="col">{t('Name')}</th>
                  <th scope="col" className="number">
                    {t('Work')}
                  </th>
                  <th scope="col" className="number">
                    {t('Active')}
                  </th>
                  <th scope="col" className="number">
                    {t('Idle')}
                  </th>
                  <th scope="col" className="number">
                    {t('Tracked')}
                  </th>
                  <th scope="col" className="number">
                    {t('Productivity')}
                  </th>
                </tr>
              </thead>
              <tbody>
                {people.map((one) => (
                  <tr key={one.userId}>
                    <td>
                      <Link
                        to="/reports/days"
                        search={{ from: range.from, to: range.to, userId: one.userId }}
                        className="underline"
                      >
                        {one.name}
                      </Link>
                    </td>
                    <td className="number">{duration(one.workSeconds)}</td>
                    <td className="number">{duration(one.activeSeconds)}</td>
                    <td className="number">{duration(one.idleSeconds)}</td>
                    <td className="number">{duration(one.trackedSeconds)}</td>
                    <td className="number">{percent(one.productivityScore)}</td>
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
