import { useMemo } from 'react';
import { ExportButton } from '../../parts/export-button.tsx';
import { unionMs } from '../../parts/intervals.ts';
import { RangeBar, useRange } from '../../parts/range.tsx';
import { Box, Empty, Shown } from '../../parts/states.tsx';
import { useUsage } from '../../parts/usage.ts';
import { t } from '../../text/index.ts';
import { dayOf, duration } from '../../time/format.ts';
import { addDays, boundsOf, clockHours, datesBetween } from '../../time/zones.ts';
import { ReportFrame } from './frame.tsx';

const mostDays = 31;
const all24 = Array.from({ length: 24 }, (_, hour) => hour);

/** Active time of each day by the hour that clocks showed: an hour that came twice is one cell with both in it. */
export function Hours() {
  const range = useRange('week');
  const to = range.to > addDays(range.from, mostDays - 1) ? addDays(range.from, mostDays - 1) : range.to;
  const dates = useMemo(() => datesBetween(range.from, to, mostDays), [range.from, to]);
  const from = boundsOf(range.from, range.zone).from;
  const end = boundsOf(to, range.zone).to;
  const usage = useUsage(range.userId, from, end);
  const rows = useMemo(() => {
    const active = (usage.data ?? [])
      .filter(({ state }) => state === 'active')
      .map(({ startedAt, endedAt }) => ({ from: Date.parse(startedAt), to: Date.parse(endedAt) }));
    return dates.map((date) => {
      const bounds = boundsOf(date, range.zone);
      const ofDay = active.filter((one) => one.to > bounds.from && one.from < bounds.to);
      const cells = new Array<number>(24).fill(0);
      for (const { hour, from: begin, to: over } of clockHours(date, range.zone))
        cells[hour]! += unionMs(ofDay, begin, over);
      return { date, cells, sum: unionMs(ofDay, bounds.from, bounds.to) };
    });
  }, [usage.data, dates, range.zone]);
  return (
    <ReportFrame
      title={t('Hours of the day')}
      actions={
        <ExportButton
          of={{
            report: 'usage',
            from: new Date(from).toISOString(),
            to: new Date(end).toISOString(),
            userId: range.userId,
          }}
        />
      }
    >
      <RangeBar range={range} />
      <Shown
        of={usage}
        isEmpty={(items) => items.length === 0}
        empty={<Empty title={t('Nothing was seen on these days.')} />}
      >
        {() => (
          <Box flush title={t('Active minutes of each hour')}>
            <table className="w-full border-separate border-spacing-0.5 p-3 text-center text-xs">
              <thead>
                <tr>
                  <th scope="col" className="text-start">
                    {t('Day')}
                  </th>
                  {all24.map((hour) => (
                    <th key={hour} scope="col" className="min-w-7 font-medium text-quiet">
                      {hour}
                    </th>
                  ))}
                  <th scope="col" className="ps-3 text-end">
                    {t('Active')}
                  </th>
                </tr>
              </thead>
              <tbody>
                {rows.map(({ date, cells, sum }) => (
                  <tr key={date}>
                    <th scope="row" className="text-start font-medium whitespace-nowrap">
                      {dayOf(date, 'short')}
                    </th>
                    {cells.map((ms, hour) => (
                      <HeatCell key={all24[hour]} ms={ms} />
                    ))}
                    <td className="ps-3 text-end font-semibold whitespace-nowrap">{duration(sum / 1_000)}</td>
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

function HeatCell({ ms }: { ms: number }) {
  const part = Math.min(1, ms / 3_600_000);
  const minutes = Math.round(ms / 60_000);
  return (
    <td
      className="h-7 rounded"
      style={{
        background: `color-mix(in oklab, var(--accent) ${Math.round(part * 100)}%, var(--page))`,
        color: part > 0.55 ? 'var(--on-accent)' : 'var(--ink)',
      }}
    >
      {minutes > 0 ? minutes : ms > 0 ? '<1' : ''}
    </td>
  );
}
