import { useEffect, useRef } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { api } from '../../api/client.ts';
import { ExportButton } from '../../parts/export-button.tsx';
import { RangeBar, useRange } from '../../parts/range.tsx';
import { Box, Shown } from '../../parts/states.tsx';
import { t } from '../../text/index.ts';
import { dayOf, duration, percent } from '../../time/format.ts';
import { ReportFrame } from './frame.tsx';

interface Week {
  date: string;
  workSeconds: number;
  activeSeconds: number;
}

/** Two lines over weeks: one whole, one dashed. */
function Lines({ weeks }: { weeks: readonly Week[] }) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const box = place.current!;
    const color = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const probe = document.createElement('span');
    box.append(probe);
    // `light-dark()` is resolved by an element, and canvases know no variables.
    const shown = (name: string): string => {
      probe.style.color = color(name);
      return getComputedStyle(probe).color;
    };
    const axis = { stroke: shown('--quiet'), grid: { stroke: shown('--line') } };
    const chart = new uPlot(
      {
        width: box.clientWidth,
        height: 260,
        cursor: { show: false },
        legend: { show: false },
        scales: { x: { time: false } },
        axes: [
          {
            ...axis,
            values: (_u, ticks) => ticks.map((n) => (weeks[n] ? dayOf(weeks[n].date, 'short') : '')),
            space: 110,
          },
          {
            ...axis,
            size: 80,
            incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500].map((hours) => hours * 3_600),
            values: (_u, ticks) => ticks.map((n) => duration(n)),
          },
        ],
        series: [
          {},
          { label: t('Work'), stroke: shown('--quiet'), width: 2, dash: [6, 4] },
          { label: t('Active'), stroke: shown('--accent'), width: 2 },
        ],
      },
      [weeks.map((_, n) => n), weeks.map((one) => one.workSeconds), weeks.map((one) => one.activeSeconds)],
      box,
    );
    probe.remove();
    const watcher = new ResizeObserver(() => chart.setSize({ width: box.clientWidth, height: 260 }));
    watcher.observe(box);
    return () => {
      watcher.disconnect();
      chart.destroy();
    };
  }, [weeks]);
  return <div ref={place} role="img" aria-label={t('Work and active time by week')} />;
}

export function Trends() {
  const range = useRange('weeks');
  const query = { from: range.from, to: range.to, timezone: range.zone, group: 'week' as const };
  const report = api.useQuery('get', '/api/v1/reports/user/{id}', { params: { path: { id: range.userId }, query } });
  return (
    <ReportFrame
      title={t('Trends')}
      actions={
        <ExportButton
          of={{ report: 'daily', from: range.from, to: range.to, timezone: range.zone, userId: range.userId }}
        />
      }
    >
      <RangeBar range={range} />
      <Shown of={report}>
        {({ days }) => (
          <>
            <Box title={t('Work (dashed) and active time by week')}>
              <Lines weeks={days} />
            </Box>
            <Box flush title={t('Table')}>
              <table className="table">
                <thead>
                  <tr>
                    <th scope="col">{t('Week from')}</th>
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
                  </tr>
                </thead>
                <tbody>
                  {days.map((week) => (
                    <tr key={week.date}>
                      <td>{dayOf(week.date, 'short')}</td>
                      <td className="number">{duration(week.workSeconds)}</td>
                      <td className="number">{duration(week.activeSeconds)}</td>
                      <td className="number">{duration(week.idleSeconds)}</td>
                      <td className="number">{percent(week.productivityScore)}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </Box>
          </>
        )}
      </Shown>
    </ReportFrame>
  );
}
