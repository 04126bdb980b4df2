import { useNavigate, useSearch } from '@tanstack/react-router';
import { useAccount } from '../api/session.ts';
import { t } from '../text/index.ts';
import { addDays, dateIn, type LocalDate, today, weekOf } from '../time/zones.ts';
import { Button, Input, ZoneSelect } from './controls.tsx';
import { PersonSelect } from './people.tsx';

export interface Range {
  from: LocalDate;
  to: LocalDate;
  userId: string;
  zone: string;
  teamId: string | undefined;
  group: 'day' | 'week';
}

/** What the link says of a report, and what it leaves open. */
export function useRange(kind: 'day' | 'week' | 'weeks' = 'week'): Range {
  const { user, organization } = useAccount();
  const search = useSearch({ from: '/inside/reports' });
  const zone = search.zone ?? user.timezone;
  const now = today(zone);
  const week = weekOf(now, organization.settings.weekStart);
  const from = search.from ?? { day: now, week, weeks: addDays(week, -77) }[kind];
  const to = search.to ?? { day: now, week: addDays(week, 6), weeks: addDays(week, 6) }[kind];
  return {
    from,
    to: to < from ? from : to,
    userId: search.userId ?? user.id,
    zone,
    teamId: search.teamId,
    group: search.group ?? 'day',
  };
}

/** Period, person and zone of a report, all of it in the link. */
export function RangeBar({
  range,
  one,
  person = true,
  zone = true,
}: {
  range: Range;
  one?: boolean;
  person?: boolean;
  zone?: boolean;
}) {
  const navigate = useNavigate();
  const { user, organization } = useAccount();
  const set = (change: Partial<Range>): void =>
    void navigate({ to: '.', search: (old: object) => ({ ...old, ...change }), replace: true } as never);
  const days = (Date.parse(range.to) - Date.parse(range.from)) / 86_400_000 + 1;
  const move = (way: number): void => set({ from: addDays(range.from, way * days), to: addDays(range.to, way * days) });
  const now = today(range.zone);
  const week = weekOf(now, organization.settings.weekStart);
  const fields = 'w-full sm:w-44';
  return (
    <div className="no-print flex flex-wrap items-end gap-3">
      {one ? (
        <div className={fields}>
          <Input
            label={t('Day')}
            type="date"
            required
            value={range.from}
            onText={(text) => dateIn(text) && set({ from: text, to: text })}
          />
        </div>
      ) : (
        <>
          <div className={fields}>
            <Input
              label={t('From')}
              type="date"
              required
              value={range.from}
              onText={(from) => dateIn(from) && set({ from })}
            />
          </div>
          <div className={fields}>
            <Input label={t('To')} type="date" required value={range.to} onText={(to) => dateIn(to) && set({ to })} />
          </div>
        </>
      )}
      <div className="flex gap-1.5">
        <Button aria-label={t('Earlier')} onPress={() => move(-1)}>
          ‹
        </Button>
        <Button aria-label={t('Later')} onPress={() => move(1)}>
          ›
        </Button>
        {one ? (
          <Button onPress={() => set({ from: now, to: now })}>{t('Today')}</Button>
        ) : (
          <>
            <Button onPress={() => set({ from: week, to: addDays(week, 6) })}>{t('This week')}</Button>
            <Button onPress={() => set({ from: `${now.slice(0, 8)}01`, to: now })}>{t('This month')}</Button>
          </>
        )}
      </div>
      {person && (
        <div className={fields}>
          <PersonSelect
            value={range.userId}
            onPerson={(userId) => set({ userId: userId === user.id ? (undefined as never) : userId })}
          />
        </div>
      )}
      {zone && (
        <div className={fields}>
          <ZoneSelect
            value={range.zone}
            onZone={(chosen) => set({ zone: chosen === user.timezone ? (undefined as never) : chosen })}
          />
        </div>
      )}
    </div>
  );
}
