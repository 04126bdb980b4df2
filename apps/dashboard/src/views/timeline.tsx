import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useMemo } from 'react';
import { api } from '../api/client.ts';
import { useAccount } from '../api/session.ts';
import { hueOf } from '../parts/charts.tsx';
import { Button, Choice, Input, ZoneSelect } from '../parts/controls.tsx';
import { DayView } from '../parts/day.tsx';
import { PersonSelect } from '../parts/people.tsx';
import { Box, Page, Shown } from '../parts/states.tsx';
import { Strip } from '../parts/strip.tsx';
import { useUsage } from '../parts/usage.ts';
import { t } from '../text/index.ts';
import { dayOf, duration } from '../time/format.ts';
import { addDays, boundsOf, dateIn, type LocalDate, today, weekOf } from '../time/zones.ts';

export function Timeline() {
  const { user, organization } = useAccount();
  const search = useSearch({ from: '/inside/timeline' });
  const navigate = useNavigate({ from: '/timeline' });
  const zone = search.zone ?? user.timezone;
  const view = search.view ?? 'day';
  const userId = search.userId ?? user.id;
  const asked = search.date ?? today(zone);
  const date = view === 'week' ? weekOf(asked, organization.settings.weekStart) : asked;
  const set = (change: Partial<typeof search>): void =>
    void navigate({ search: (old) => ({ ...old, ...change }), replace: true });
  const days = view === 'week' ? 7 : 1;
  return (
    <Page title={t('Timeline')} actions={<span className="text-quiet">{dayOf(date)}</span>} wide>
      <div className="no-print flex flex-wrap items-end gap-3">
        <Choice
          label={t('View')}
          value={view}
          options={[
            { value: 'day', text: t('Day') },
            { value: 'week', text: t('Week') },
          ]}
          onValue={(next) => set({ view: next })}
        />
        <div className="w-full sm:w-44">
          <Input
            label={t('Day')}
            type="date"
            required
            value={asked}
            onText={(text) => dateIn(text) && set({ date: text })}
          />
        </div>
        <div className="flex gap-1.5">
          <Button aria-label={t('Earlier')} onPress={() => set({ date: addDays(date, -days) })}>
            ‹
          </Button>
          <Button aria-label={t('Later')} onPress={() => set({ date: addDays(date, days) })}>
            ›
          </Button>
          <Button onPress={() => set({ date: today(zone) })}>{t('Today')}</Button>
        </div>
        <div className="w-full sm:w-48">
          <PersonSelect value={userId} onPerson={(id) => set({ userId: id })} />
        </div>
        <div className="w-full sm:w-48">
          <ZoneSelect value={zone} onZone={(next) => set({ zone: next })} />
        </div>
      </div>
      {view === 'day' ? (
        <DayView key={`${date} ${userId}`} date={date} zone={zone} userId={userId} />
      ) : (
        <Week from={date} zone={zone} userId={userId} />
      )}
    </Page>
  );
}

function Week({ from, zone, userId }: { from: LocalDate; zone: string; userId: string }) {
  const to = addDays(from, 6);
  const bounds = useMemo(() => ({ from: boundsOf(from, zone).from, to: boundsOf(to, zone).to }), [from, to, zone]);
  const usage = useUsage(userId, bounds.from, bounds.to);
  const daily = api.useQuery('get', '/api/v1/reports/daily', {
    params: { query: { from, to, timezone: zone, userId } },
  });
  const rows = useMemo(() => {
    const active = (usage.data ?? []).filter(({ state, source }) => state === 'active' && source !== 'afk');
    return (daily.data?.items ?? []).map((day) => {
      const own = boundsOf(day.date, zone);
      const items = active
        .map((one) => ({
          from: Date.parse(one.startedAt),
          to: Date.parse(one.endedAt),
          color: hueOf(one.app),
          text: one.app,
        }))
        .filter((one) => one.to > own.from && one.from < own.to);
      return { day, own, items };
    });
  }, [usage.data, daily.data, zone]);
  return (
    <Shown of={daily}>
      {() => (
        <Box flush title={t('The week')}>
          <table className="table">
            <thead>
              <tr>
                <th scope="col">{t('Day')}</th>
                <th scope="col" className="w-1/2 max-sm:hidden">
                  {t('Apps')}
                </th>
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
              {rows.map(({ day, own, items }) => (
                <tr key={day.date}>
                  <td className="whitespace-nowrap">
                    <Link
                      to="/timeline"
                      search={(old: object) => ({ ...old, view: 'day' as const, date: day.date })}
                      className="underline"
                    >
                      {dayOf(day.date, 'short')}
                    </Link>
                  </td>
                  <td className="max-sm:hidden">
                    <Strip items={items} from={own.from} to={own.to} label={dayOf(day.date, 'short')} />
                  </td>
                  <td className="number">{duration(day.workSeconds)}</td>
                  <td className="number">{duration(day.activeSeconds)}</td>
                  <td className="number">{duration(day.idleSeconds)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Box>
      )}
    </Shown>
  );
}
