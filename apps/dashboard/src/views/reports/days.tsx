import { Link } from '@tanstack/react-router';
import { api } from '../../api/client.ts';
import { ExportButton } from '../../parts/export-button.tsx';
import { RangeBar, useRange } from '../../parts/range.tsx';
import { StackedBars } from '../../parts/stacked.tsx';
import { Box, Shown } from '../../parts/states.tsx';
import { t } from '../../text/index.ts';
import { dayOf, duration, number, percent } from '../../time/format.ts';
import { ReportFrame } from './frame.tsx';

export function Days() {
  const range = useRange();
  const query = { from: range.from, to: range.to, timezone: range.zone, userId: range.userId };
  const daily = api.useQuery('get', '/api/v1/reports/daily', { params: { query } });
  return (
    <ReportFrame title={t('Days')} actions={<ExportButton of={{ report: 'daily', ...query }} />}>
      <RangeBar range={range} />
      <Shown of={daily}>
        {({ items }) => {
          const sum = (pick: (day: (typeof items)[number]) => number) => items.reduce((all, day) => all + pick(day), 0);
          return (
            <>
              <Box title={t('Active and idle')}>
                <StackedBars
                  bars={items.map(({ date, activeSeconds, idleSeconds }) => ({
                    key: date,
                    text: dayOf(date, 'short'),
                    parts: [activeSeconds, idleSeconds],
                  }))}
                  parts={[t('Active'), t('Idle')]}
                />
              </Box>
              <Box flush title={t('Table')}>
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
                      <th scope="col" className="number">
                        {t('Productivity')}
                      </th>
                      <th scope="col" className="number">
                        {t('Keys')}
                      </th>
                      <th scope="col" className="number">
                        {t('Movements')}
                      </th>
                    </tr>
                  </thead>
                  <tbody>
                    {items.map((day) => (
                      <tr key={day.date}>
                        <td>
                          <Link
                            to="/timeline"
                            search={{ date: day.date, userId: range.userId, zone: range.zone }}
                            className="underline"
                          >
                            {dayOf(day.date, 'short')}
                          </Link>
                        </td>
                        <td className="number">{duration(day.workSeconds)}</td>
                        <td className="number">{duration(day.activeSeconds)}</td>
                        <td className="number">{duration(day.idleSeconds)}</td>
                        <td className="number">{percent(day.productivityScore)}</td>
                        <td className="number">{number(day.keyboardClicks)}</td>
                        <td className="number">{number(day.mouseMovements)}</td>
                      </tr>
                    ))}
                  </tbody>
                  <tfoot>
                    <tr className="font-semibold">
                      <td>Σ</td>
                      <td className="number">{duration(sum((day) => day.workSeconds))}</td>
                      <td className="number">{duration(sum((day) => day.activeSeconds))}</td>
                      <td className="number">{duration(sum((day) => day.idleSeconds))}</td>
                      <td />
                      <td className="number">{number(sum((day) => day.keyboardClicks))}</td>
                      <td className="number">{number(sum((day) => day.mouseMovements))}</td>
                    </tr>
                  </tfoot>
                </table>
              </Box>
            </>
          );
        }}
      </Shown>
    </ReportFrame>
  );
}
