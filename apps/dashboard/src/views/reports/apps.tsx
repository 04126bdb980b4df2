import { api } from '../../api/client.ts';
import { BarTable } from '../../parts/charts.tsx';
import { ExportButton } from '../../parts/export-button.tsx';
import { RangeBar, useRange } from '../../parts/range.tsx';
import { Box, Empty, Shown, Stat } from '../../parts/states.tsx';
import { t } from '../../text/index.ts';
import { dayOf, duration } from '../../time/format.ts';
import { ReportFrame } from './frame.tsx';

function Total({ seconds, date }: { seconds: number; date: string }) {
  return <Stat label={t('Active')} value={duration(seconds)} hint={dayOf(date)} />;
}

export function Apps() {
  const range = useRange('day');
  const query = { date: range.from, timezone: range.zone, userId: range.userId };
  const report = api.useQuery('get', '/api/v1/reports/apps', { params: { query } });
  return (
    <ReportFrame title={t('Apps')} actions={<ExportButton of={{ report: 'apps', ...query }} />}>
      <RangeBar range={range} one />
      <Shown
        of={report}
        isEmpty={({ items }) => items.length === 0}
        empty={<Empty title={t('Nothing was seen on this day.')} />}
      >
        {({ items, totalSeconds }) => (
          <>
            <Total seconds={totalSeconds} date={range.from} />
            <Box flush title={t('Apps')}>
              <BarTable
                head={[t('App'), t('Active')]}
                bars={items.map(({ app, seconds }) => ({ key: app, text: app, seconds }))}
              />
            </Box>
          </>
        )}
      </Shown>
    </ReportFrame>
  );
}

export function Sites() {
  const range = useRange('day');
  const query = { date: range.from, timezone: range.zone, userId: range.userId };
  const report = api.useQuery('get', '/api/v1/reports/domains', { params: { query } });
  return (
    <ReportFrame title={t('Sites')} actions={<ExportButton of={{ report: 'domains', ...query }} />}>
      <RangeBar range={range} one />
      <Shown
        of={report}
        isEmpty={({ items }) => items.length === 0}
        empty={<Empty title={t('Nothing was seen on this day.')} />}
      >
        {({ items, totalSeconds }) => (
          <>
            <Total seconds={totalSeconds} date={range.from} />
            <Box flush title={t('Sites')}>
              <BarTable
                head={[t('Site'), t('Active')]}
                bars={items.map(({ host, seconds }) => ({ key: host, text: host, seconds }))}
              />
            </Box>
          </>
        )}
      </Shown>
    </ReportFrame>
  );
}
