import { useNavigate } from '@tanstack/react-router';
import { api } from '../../api/client.ts';
import { Choice } from '../../parts/controls.tsx';
import { ExportButton } from '../../parts/export-button.tsx';
import { RangeBar, useRange } from '../../parts/range.tsx';
import { Box, Empty, Shown } from '../../parts/states.tsx';
import { t } from '../../text/index.ts';
import { dayOf, duration } from '../../time/format.ts';
import { ReportFrame } from './frame.tsx';

export function Timesheet() {
  const range = useRange();
  const navigate = useNavigate();
  const query = { from: range.from, to: range.to, timezone: range.zone, userId: range.userId, group: range.group };
  const report = api.useQuery('get', '/api/v1/reports/timesheet', { params: { query } });
  return (
    <ReportFrame title={t('Timesheet')} actions={<ExportButton of={{ report: 'timesheet', ...query }} />}>
      <RangeBar range={range} />
      <Choice
        label={t('By')}
        value={range.group}
        options={[
          { value: 'day', text: t('Day') },
          { value: 'week', text: t('Week') },
        ]}
        onValue={(group) =>
          void navigate({ to: '.', search: (old: object) => ({ ...old, group }), replace: true } as never)
        }
      />
      <Shown
        of={report}
        isEmpty={({ projects }) => projects.length === 0}
        empty={<Empty title={t('No time was entered on these days.')} />}
      >
        {({ days, projects, trackedSeconds }) => (
          <Box flush title={t('Tracked time')}>
            <table className="table">
              <thead>
                <tr>
                  <th scope="col">{t('Project')}</th>
                  {days.map(({ date }) => (
                    <th key={date} scope="col" className="number">
                      {dayOf(date, 'short')}
                    </th>
                  ))}
                  <th scope="col" className="number">
                    Σ
                  </th>
                </tr>
              </thead>
              <tbody>
                {projects.map((project) => (
                  <tr key={project.projectId}>
                    <td>{project.projectId === null ? t('No project') : (project.name ?? t('A deleted project'))}</td>
                    {project.byDay.map((seconds, n) => (
                      <td key={days[n]?.date} className="number">
                        {seconds === 0 ? '–' : duration(seconds)}
                      </td>
                    ))}
                    <td className="number font-semibold">{duration(project.trackedSeconds)}</td>
                  </tr>
                ))}
              </tbody>
              <tfoot>
                <tr className="font-semibold">
                  <td>Σ</td>
                  {days.map((day) => (
                    <td key={day.date} className="number">
                      {day.trackedSeconds === 0 ? '–' : duration(day.trackedSeconds)}
                    </td>
                  ))}
                  <td className="number">{duration(trackedSeconds)}</td>
                </tr>
              </tfoot>
            </table>
          </Box>
        )}
      </Shown>
    </ReportFrame>
  );
}
