import { useMemo, useRef, useState } from 'react';
import { api, type Schemas } from '../api/client.ts';
import { t } from '../text/index.ts';
import { duration, percent, timeOf } from '../time/format.ts';
import { boundsOf, hoursOf, type LocalDate } from '../time/zones.ts';
import { BarTable, hueOf } from './charts.tsx';
import { Button } from './controls.tsx';
import { EntryDialog, type EntryDraft } from './entry-dialog.tsx';
import { EntryLane } from './entry-lane.tsx';
import { unionMs, withoutThose } from './intervals.ts';
import { useProjectNames } from './people.tsx';
import { Badge, Box, Empty, Shown, Stat } from './states.tsx';
import { Strip, type StripItem } from './strip.tsx';
import { useNow, workedAt } from './timer.tsx';
import { type UsageEntry, useTimeEntries, useUsage } from './usage.ts';

/** A device that nobody named has an id, which says nothing to anybody. */
const isUuid = /^[0-9a-f]{8}-[0-9a-f-]{27}$/i;
const zooms = [1, 2, 4, 8, 16, 32];

interface Lane {
  id: string;
  name: string;
  items: StripItem[];
  /** Of the union of its items, within the day. */
  ms: number;
}

function itemOf(entry: UsageEntry, text: string, color: string): StripItem {
  return {
    from: Date.parse(entry.startedAt),
    to: Date.parse(entry.endedAt),
    color,
    text,
    isIdle: entry.state === 'idle',
  };
}

function lanesOf(usage: readonly UsageEntry[], from: number, to: number): Lane[] {
  const seen = usage.filter(({ source }) => source !== 'afk');
  const lane = (id: string, name: string, items: StripItem[]): Lane => ({
    id,
    name,
    items,
    ms: unionMs(items, from, to),
  });
  const active = seen.filter(({ state }) => state === 'active');
  const devices = [...new Set(usage.map(({ deviceId }) => deviceId))].sort();
  return [
    lane(
      'apps',
      t('Apps'),
      active.map((one) => itemOf(one, one.app, hueOf(one.app))),
    ),
    lane(
      'sites',
      t('Sites'),
      active.filter(({ host }) => host).map((one) => itemOf(one, one.host!, hueOf(one.host!))),
    ),
    ...devices.map((device, n) =>
      lane(
        `device ${device}`,
        isUuid.test(device) ? t('Device {n}', { n: n + 1 }) : device,
        usage
          .filter(({ deviceId }) => deviceId === device)
          .map((one) => itemOf(one, device, one.state === 'idle' ? 'var(--quiet)' : 'var(--accent)')),
      ),
    ),
    // Where one device is idle and another active, the person is active: as in reports.
    lane(
      'idle',
      t('Idle'),
      withoutThose(
        usage.filter(({ state }) => state === 'idle').map((one) => itemOf(one, t('Idle'), 'var(--quiet)')),
        usage.filter(({ state }) => state === 'active').map((one) => itemOf(one, '', '')),
      ),
    ),
  ];
}

/** Hours as they come on that day: 23 on one, 25 on another. */
function Hours({ date, zone, zoom }: { date: LocalDate; zone: string; zoom: number }) {
  const { from, to } = boundsOf(date, zone);
  const every = zoom === 1 ? 3 : 1;
  return (
    <div className="relative h-6 text-xs text-quiet" aria-hidden="true">
      {hoursOf(date, zone).map((at, n) =>
        n % every === 0 ? (
          <span
            key={at}
            className={`absolute border-s border-line ps-1 ${zoom === 1 && n % 6 !== 0 ? 'max-sm:hidden' : ''}`}
            style={{ left: `${((at - from) / (to - from)) * 100}%` }}
          >
            {timeOf(at, zone)}
          </span>
        ) : null,
      )}
    </div>
  );
}

function UsageTable({ usage, zone }: { usage: readonly UsageEntry[]; zone: string }) {
  const [shown, setShown] = useState(100);
  return (
    <>
      <table className="table">
        <thead>
          <tr>
            <th scope="col">{t('From')}</th>
            <th scope="col">{t('To')}</th>
            <th scope="col">{t('App')}</th>
            <th scope="col">{t('Site')}</th>
            <th scope="col">{t('State')}</th>
            <th scope="col" className="number">
              {t('Time')}
            </th>
          </tr>
        </thead>
        <tbody>
          {usage.slice(0, shown).map((one) => (
            <tr key={one.id}>
              <td>{timeOf(one.startedAt, zone)}</td>
              <td>{timeOf(one.endedAt, zone)}</td>
              <td>{one.app}</td>
              <td>{one.host ?? '–'}</td>
              <td>{one.state === 'idle' ? t('Idle') : t('Active')}</td>
              <td className="number">{duration(one.seconds)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {usage.length > shown && (
        <div className="p-3 text-center">
          <Button small onPress={() => setShown(shown + 500)}>
            {t('Show more')}
          </Button>
        </div>
      )}
    </>
  );
}

function Figures({ date, zone, userId }: { date: LocalDate; zone: string; userId: string }) {
  const daily = api.useQuery('get', '/api/v1/reports/daily', { params: { query: { date, timezone: zone, userId } } });
  const sheet = api.useQuery('get', '/api/v1/reports/timesheet', {
    params: { query: { date, timezone: zone, userId } },
  });
  const day = daily.data?.items[0];
  return (
    <div className="grid grid-cols-2 gap-3 md:grid-cols-5" data-testid="figures">
      <Stat label={t('Work')} value={day ? duration(day.workSeconds) : '–'} />
      <Stat label={t('Active')} value={day ? duration(day.activeSeconds) : '–'} />
      <Stat label={t('Idle')} value={day ? duration(day.idleSeconds) : '–'} />
      <Stat label={t('Productivity')} value={day ? percent(day.productivityScore) : '–'} />
      <Stat label={t('Tracked')} value={sheet.data ? duration(sheet.data.trackedSeconds) : '–'} />
    </div>
  );
}

/** One day of one person: what they said, what their devices saw, and the reports of it. */
export function DayView({ date, zone, userId }: { date: LocalDate; zone: string; userId: string }) {
  const { from, to } = useMemo(() => boundsOf(date, zone), [date, zone]);
  const usage = useUsage(userId, from, to);
  const entries = useTimeEntries(userId, from, to);
  const [zoom, setZoom] = useState(0);
  const [draft, setDraft] = useState<EntryDraft>();
  const [isTable, setTable] = useState(false);
  const scroller = useRef<HTMLDivElement>(null);
  const lanes = useMemo(() => lanesOf(usage.data ?? [], from, to), [usage.data, from, to]);
  const about = { date, timezone: zone, userId };
  const apps = api.useQuery('get', '/api/v1/reports/apps', { params: { query: about } });
  const hosts = api.useQuery('get', '/api/v1/reports/domains', { params: { query: about } });

  const changeZoom = (next: number): void => {
    const box = scroller.current;
    const middle = box ? (box.scrollLeft + box.clientWidth / 2) / box.scrollWidth : 0.5;
    setZoom(next);
    requestAnimationFrame(() => {
      if (box) box.scrollLeft = middle * box.scrollWidth - box.clientWidth / 2;
    });
  };

  return (
    <div className="space-y-5">
      <Figures date={date} zone={zone} userId={userId} />
      <Box
        title={t('The day')}
        actions={
          <>
            <Button small look="primary" onPress={() => setDraft({ kind: 'new', from: undefined, to: undefined })}>
              {t('Add time')}
            </Button>
            <Button small aria-label={t('Zoom out')} isDisabled={zoom === 0} onPress={() => changeZoom(zoom - 1)}>
              −
            </Button>
            <Button
              small
              aria-label={t('Zoom in')}
              isDisabled={zoom === zooms.length - 1}
              onPress={() => changeZoom(zoom + 1)}
            >
              +
            </Button>
          </>
        }
      >
        <div className="grid grid-cols-[5.5rem_minmax(0,1fr)] gap-x-3 sm:grid-cols-[9rem_minmax(0,1fr)]">
          <div className="space-y-2 pt-8 text-sm">
            <div className="flex h-12 items-center font-medium">{t('Entries')}</div>
            {lanes.map(({ id, name, ms }) => (
              <div key={id} className="flex h-[26px] items-center justify-between gap-2">
                <span className="truncate" title={name}>
                  {name}
                </span>
                <span className="text-quiet max-sm:hidden">{duration(ms / 1_000)}</span>
              </div>
            ))}
          </div>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is to be scrolled by keyboard. */}
          <section ref={scroller} className="overflow-x-auto pb-2" tabIndex={0} aria-label={t('The day, hour by hour')}>
            <div className="space-y-2" style={{ width: `${zooms[zoom]! * 100}%` }}>
              <Hours date={date} zone={zone} zoom={zooms[zoom]!} />
              <EntryLane entries={entries.data ?? []} from={from} to={to} zone={zone} onDraft={setDraft} />
              {lanes.map(({ id, name, items }) => (
                <Strip key={id} items={items} from={from} to={to} label={name} />
              ))}
            </div>
          </section>
        </div>
        <p className="no-print mt-2 text-sm text-quiet">
          {t('Draw over the line of entries to add time, pull an end to correct it, or press an entry.')}
        </p>
      </Box>
      <div className="grid gap-5 lg:grid-cols-3">
        <Box title={t('Entries')} flush className="lg:row-span-1">
          <Shown
            of={entries}
            isEmpty={(all) => all.length === 0}
            empty={<p className="p-4 text-quiet">{t('No time entered on this day.')}</p>}
          >
            {(all) => <EntryTable entries={all} zone={zone} onOpen={(entry) => setDraft({ kind: 'edit', entry })} />}
          </Shown>
        </Box>
        <Box title={t('Apps')} flush>
          <Shown
            of={apps}
            isEmpty={({ items }) => items.length === 0}
            empty={<p className="p-4 text-quiet">{t('Nothing was seen on this day.')}</p>}
          >
            {({ items, totalSeconds }) => (
              <BarTable
                head={[t('App'), t('Active')]}
                bars={items.slice(0, 12).map(({ app, seconds }) => ({ key: app, text: app, seconds }))}
                total={totalSeconds}
              />
            )}
          </Shown>
        </Box>
        <Box title={t('Sites')} flush>
          <Shown
            of={hosts}
            isEmpty={({ items }) => items.length === 0}
            empty={<p className="p-4 text-quiet">{t('Nothing was seen on this day.')}</p>}
          >
            {({ items }) => (
              <BarTable
                head={[t('Site'), t('Active')]}
                bars={items.slice(0, 12).map(({ host, seconds }) => ({ key: host, text: host, seconds }))}
              />
            )}
          </Shown>
        </Box>
      </div>
      <Shown
        of={usage}
        isEmpty={(all) => all.length === 0}
        empty={<Empty title={t('Nothing was seen on this day.')} />}
      >
        {(all) => (
          <Box
            title={t('What was seen')}
            flush={isTable}
            actions={
              <Button small aria-expanded={isTable} onPress={() => setTable(!isTable)}>
                {isTable ? t('Hide the table') : t('Show as a table')}
              </Button>
            }
          >
            {isTable ? (
              <UsageTable usage={all} zone={zone} />
            ) : (
              <p className="text-quiet">
                {t('{n, plural, one {# entry} other {# entries}} of devices on this day.', { n: all.length })}
              </p>
            )}
          </Box>
        )}
      </Shown>
      {draft && (
        <EntryDialog draft={draft} date={date} zone={zone} userId={userId} onClose={() => setDraft(undefined)} />
      )}
    </div>
  );
}

function EntryTable({
  entries,
  zone,
  onOpen,
}: {
  entries: readonly Schemas['TimeEntry'][];
  zone: string;
  onOpen: (entry: Schemas['TimeEntry']) => void;
}) {
  const now = useNow(1_000);
  const projectName = useProjectNames();
  return (
    <table className="table">
      <thead>
        <tr>
          <th scope="col">{t('When')}</th>
          <th scope="col">{t('What')}</th>
          <th scope="col" className="number">
            {t('Worked')}
          </th>
        </tr>
      </thead>
      <tbody>
        {entries.map((entry) => (
          <tr key={entry.id}>
            <td className="whitespace-nowrap">
              {timeOf(entry.startTime, zone)}–{entry.endTime ? timeOf(entry.endTime, zone) : ''}
            </td>
            <td>
              <button type="button" className="cursor-pointer text-start underline" onClick={() => onOpen(entry)}>
                {projectName(entry.projectId)}
              </button>
              {entry.description && <div className="text-sm text-quiet">{entry.description}</div>}
              {entry.status !== 'STOPPED' && (
                <Badge tone="accent">{entry.status === 'PAUSED' ? t('Paused') : t('Running')}</Badge>
              )}
            </td>
            <td className="number">{duration(entry.endTime ? entry.workedSeconds : workedAt(entry, now))}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
