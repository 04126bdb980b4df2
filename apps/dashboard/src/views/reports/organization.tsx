import { api } from '../../api/client.ts';
import { useAccount } from '../../api/session.ts';
import { BarTable } from '../../parts/charts.tsx';
import { ExportButton } from '../../parts/export-button.tsx';
import { isManager } from '../../parts/people.tsx';
import { RangeBar, useRange } from '../../parts/range.tsx';
import { StackedBars } from '../../parts/stacked.tsx';
import { Box, Forbidden, Shown, Stat } from '../../parts/states.tsx';
import { t } from '../../text/index.ts';
import { dayOf, duration, number, percent } from '../../time/format.ts';
import { ReportFrame } from './frame.tsx';

export function OrganizationReport() {
  const { user } = useAccount();
  return isManager(user.role) ? (
    <Report />
  ) : (
    <ReportFrame title={t('Organisation')}>
      <Forbidden />
    </ReportFrame>
  );
}

function Report() {
  const range = useRange();
  const query = { from: range.from, to: range.to, timezone: range.zone };
  const report = api.useQuery('get', '/api/v1/reports/organization', { params: { query } });
  return (
    <ReportFrame title={t('Organisation')} actions={<ExportButton of={{ report: 'daily', ...query, people: 'all' }} />}>
      <RangeBar range={range} person={false} />
      <Shown of={report}>
        {({ totals, days, people, apps, projects }) => (
          <>
            <div className="grid grid-cols-2 gap-3 md:grid-cols-5">
              <Stat label={t('People')} value={number(people.length)} />
              <Stat label={t('Work')} value={duration(totals.workSeconds)} />
              <Stat label={t('Active')} value={duration(totals.activeSeconds)} />
              <Stat label={t('Idle')} value={duration(totals.idleSeconds)} />
              <Stat label={t('Productivity')} value={percent(totals.productivityScore)} />
            </div>
            <Box title={t('Active and idle')}>
              <StackedBars
                bars={days.map((day) => ({
                  key: day.date,
                  text: dayOf(day.date, 'short'),
                  parts: [day.activeSeconds, day.idleSeconds],
                }))}
                parts={[t('Active'), t('Idle')]}
              />
            </Box>
            <div className="grid gap-5 lg:grid-cols-2">
              <Box flush title={t('Days')}>
                <table className="table">
                  <thead>
                    <tr>
                      <th scope="col">{t('Day')}</th>
                      <th scope="col" className="number">
                        {t('Work')}
                      </th>
                      <th scope="col" className="number">
                        {t('Active')}
                      </th>
                      <th scope="col" className="number">
                        {t('Idle')}
                      </th>
                    </tr>
                  </thead>
                  <tbody>
                    {days.map((day) => (
                      <tr key={day.date}>
                        <td>{dayOf(day.date, 'short')}</td>
                        <td className="number">{duration(day.workSeconds)}</td>
                        <td className="number">{duration(day.activeSeconds)}</td>
                        <td className="number">{duration(day.idleSeconds)}</td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </Box>
              <Box flush title={t('Projects')}>
                <BarTable
                  head={[t('Project'), t('Tracked')]}
                  bars={projects.map(({ projectId, name, trackedSeconds }) => ({
                    key: projectId ?? '',
                    text: projectId === null ? t('No project') : (name ?? t('A deleted project')),
                    seconds: trackedSeconds,
                  }))}
                />
              </Box>
              <Box flush title={t('Apps')}>
                <BarTable
                  head={[t('App'), t('Active')]}
                  bars={apps.slice(0, 25).map(({ app, seconds }) => ({ key: app, text: app, seconds }))}
                />
              </Box>
            </div>
          </>
        )}
      </Shown>
    </ReportFrame>
  );
}
