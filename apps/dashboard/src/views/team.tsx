import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import { api, client, readAll, type Schemas } from '../api/client.ts';
import { takePresences, usePresences } from '../api/live.ts';
import { useAccount } from '../api/session.ts';
import { Button } from '../parts/controls.tsx';
import { isManager, usePeople, useProjectNames } from '../parts/people.tsx';
import { Badge, Box, Empty, Forbidden, Page, Shown } from '../parts/states.tsx';
import { useNow, workedAt } from '../parts/timer.tsx';
import { t } from '../text/index.ts';
import { ago, duration } from '../time/format.ts';
import { today } from '../time/zones.ts';

export function Team() {
  const { user } = useAccount();
  return <Page title={t('Team')}>{isManager(user.role) ? <Live /> : <Forbidden />}</Page>;
}

export function PresenceBadge({ presence }: { presence: Schemas['Presence'] | undefined }) {
  const state = presence?.state ?? 'offline';
  const looks = {
    online: { tone: 'good', sign: '●', text: t('Online') },
    idle: { tone: 'warn', sign: '◐', text: t('Idle') },
    offline: { tone: 'plain', sign: '○', text: t('Offline') },
  } as const;
  const { tone, sign, text } = looks[state];
  return (
    <Badge tone={tone}>
      <span aria-hidden="true">{sign}</span> {text}
    </Badge>
  );
}

/** Who works now, by name. There is no other order: it ranks nobody. */
function Live() {
  const { user } = useAccount();
  const people = usePeople();
  const presences = usePresences();
  const projectName = useProjectNames();
  const now = useNow();
  // What each has running is asked for one by one: of those on the screen.
  const [shown, setShown] = useState(50);
  const date = today(user.timezone);
  const listed = useQuery({
    queryKey: ['get', '/api/v1/presence', 'all'],
    queryFn: ({ signal }) =>
      readAll((cursor) =>
        client.GET('/api/v1/presence', { params: { query: { limit: 500, ...(cursor ? { cursor } : {}) } }, signal }),
      ),
  });
  useEffect(() => {
    if (listed.data) takePresences(listed.data);
  }, [listed.data]);
  const hours = useQuery({
    queryKey: ['get', '/api/v1/reports/team', 'today', date],
    queryFn: ({ signal }) =>
      readAll((cursor) =>
        client.GET('/api/v1/reports/team', {
          params: { query: { from: date, to: date, limit: 500, ...(cursor ? { cursor } : {}) } },
          signal,
        }),
      ),
    refetchInterval: 60_000,
  });
  const active = (people.data ?? [])
    .filter(({ status }) => status === 'active')
    .sort((a, b) => a.name.localeCompare(b.name));
  return (
    <Shown of={people} isEmpty={() => active.length === 0} empty={<Empty title={t('Nobody is here yet.')} />}>
      {() => (
        <Box flush title={t('Now')}>
          <table className="table">
            <thead>
              <tr>
                <th scope="col">{t('Name')}</th>
                <th scope="col">{t('Presence')}</th>
                <th scope="col">{t('Last activity')}</th>
                <th scope="col">{t('Current entry')}</th>
                <th scope="col" className="number">
                  {t('Today')}
                </th>
              </tr>
            </thead>
            <tbody>
              {active.slice(0, shown).map((one) => {
                const presence = presences.get(one.id);
                const row = hours.data?.find(({ userId }) => userId === one.id);
                return (
                  <tr key={one.id} data-person={one.id}>
                    <td>
                      <Link to="/timeline" search={{ userId: one.id }} className="underline">
                        {one.name}
                      </Link>
                    </td>
                    <td>
                      <PresenceBadge presence={presence} />
                      {presence?.app && <span className="ms-2 text-sm text-quiet">{presence.app}</span>}
                    </td>
                    <td className="whitespace-nowrap text-quiet">
                      {presence?.lastSeenAt ? ago(Math.min(Date.parse(presence.lastSeenAt), now), now) : t('never')}
                    </td>
                    <td>
                      <Current userId={one.id} now={now} projectName={projectName} />
                    </td>
                    <td className="number">{duration(row?.activeSeconds ?? 0)}</td>
                  </tr>
                );
              })}
            </tbody>
          </table>
          {active.length > shown && (
            <div className="p-3 text-center">
              <Button small onPress={() => setShown(shown + 50)}>
                {t('Show more')}
              </Button>
            </div>
          )}
        </Box>
      )}
    </Shown>
  );
}

function Current({
  userId,
  now,
  projectName,
}: {
  userId: string;
  now: number;
  projectName: (id: string | null) => string;
}) {
  const { data } = api.useQuery(
    'get',
    '/api/v1/time-entries/active',
    { params: { query: { userId } } },
    { refetchInterval: 120_000 },
  );
  const entry = data?.entry;
  if (!entry) return <span className="text-quiet">–</span>;
  return (
    <span>
      {entry.description ?? projectName(entry.projectId)}{' '}
      <span className="text-quiet">
        {duration(workedAt(entry, now))} {entry.status === 'PAUSED' ? `(${t('Paused')})` : ''}
      </span>
    </span>
  );
}
