import { useInfiniteQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useEffect, useEffectEvent, useState } from 'react';
import { client, type Schemas } from '../api/client.ts';
import { useAccount } from '../api/session.ts';
import { Button, Dialog, Input } from '../parts/controls.tsx';
import { PersonSelect } from '../parts/people.tsx';
import { Badge, Empty, Page, Shown } from '../parts/states.tsx';
import { tried } from '../parts/toasts.tsx';
import { t } from '../text/index.ts';
import { dayOf, momentOf, timeOf } from '../time/format.ts';
import { addDays, boundsOf, dateIn, today } from '../time/zones.ts';

type Screenshot = Schemas['Screenshot'];

export function Screenshots() {
  const { user } = useAccount();
  const search = useSearch({ from: '/inside/screenshots' });
  const navigate = useNavigate({ from: '/screenshots' });
  const queries = useQueryClient();
  const zone = user.timezone;
  const date = search.date ?? today(zone);
  const userId = search.userId ?? user.id;
  const { from, to } = boundsOf(date, zone);
  const [open, setOpen] = useState<number>();
  const query = { userId, from: new Date(from).toISOString(), to: new Date(to).toISOString(), limit: 48 };
  const pages = useInfiniteQuery({
    queryKey: ['get', '/api/v1/screenshots', query],
    queryFn: async ({ pageParam, signal }) => {
      const { data } = await client.GET('/api/v1/screenshots', {
        params: { query: { ...query, ...(pageParam ? { cursor: pageParam } : {}) } },
        signal,
      });
      return data!;
    },
    initialPageParam: '',
    getNextPageParam: (last) => last.nextCursor,
    // Links to pictures are good for five minutes.
    refetchInterval: 240_000,
  });
  const shots = pages.data?.pages.flatMap(({ items }) => items) ?? [];
  const set = (change: Partial<typeof search>): void =>
    void navigate({ search: (old) => ({ ...old, ...change }), replace: true });
  const remove = async (shot: Screenshot): Promise<void> => {
    const isDone = await tried(
      () => client.DELETE('/api/v1/screenshots/{id}', { params: { path: { id: shot.id } } }),
      t('The screenshot was deleted.'),
    );
    if (!isDone) return;
    setOpen(undefined);
    await queries.invalidateQueries({ queryKey: ['get', '/api/v1/screenshots'] });
  };
  return (
    <Page title={t('Screenshots')} actions={<span className="text-quiet">{dayOf(date)}</span>} wide>
      <div className="no-print flex flex-wrap items-end gap-3">
        <div className="w-full sm:w-44">
          <Input
            label={t('Day')}
            type="date"
            required
            value={date}
            onText={(text) => dateIn(text) && set({ date: text })}
          />
        </div>
        <div className="flex gap-1.5">
          <Button aria-label={t('Earlier')} onPress={() => set({ date: addDays(date, -1) })}>
            ‹
          </Button>
          <Button aria-label={t('Later')} onPress={() => set({ date: addDays(date, 1) })}>
            ›
          </Button>
        </div>
        <div className="w-full sm:w-48">
          <PersonSelect value={userId} onPerson={(id) => set({ userId: id })} />
        </div>
      </div>
      <Shown of={pages} isEmpty={() => shots.length === 0} empty={<Empty title={t('No screenshots on this day.')} />}>
        {() => (
          <ul className="grid grid-cols-2 gap-3 md:grid-cols-3 xl:grid-cols-4">
            {shots.map((shot, n) => (
              <li key={shot.id}>
                <button
                  type="button"
                  className="box block w-full cursor-pointer overflow-hidden text-start"
                  onClick={() => setOpen(n)}
                >
                  <span className="grid aspect-video place-items-center bg-page text-quiet">
                    {shot.thumbnailUrl ? (
                      <img
                        src={shot.thumbnailUrl}
                        alt=""
                        loading="lazy"
                        decoding="async"
                        className="size-full object-cover"
                      />
                    ) : shot.status === 'failed' ? (
                      t('Failed')
                    ) : (
                      t('On its way')
                    )}
                  </span>
                  <span className="flex items-center justify-between gap-2 px-3 py-2">
                    <span>
                      <span className="sr-only">{t('Screenshots')}: </span>
                      {timeOf(shot.capturedAt, zone)}
                    </span>
                    <BlurBadge level={shot.blurLevel} />
                  </span>
                </button>
              </li>
            ))}
          </ul>
        )}
      </Shown>
      {pages.hasNextPage && (
        <div className="text-center">
          <Button onPress={() => void pages.fetchNextPage()}>{t('Show more')}</Button>
        </div>
      )}
      {open !== undefined && shots[open] && (
        <Viewer
          shot={shots[open]}
          zone={zone}
          at={open}
          of={shots.length}
          onMove={(way) => setOpen(Math.min(shots.length - 1, Math.max(0, open + way)))}
          onClose={() => setOpen(undefined)}
          onDelete={() => void remove(shots[open]!)}
        />
      )}
    </Page>
  );
}

function BlurBadge({ level }: { level: number | null }) {
  if (!level) return <Badge>{t('Sharp')}</Badge>;
  return <Badge tone="accent">{t('Blur {level}', { level })}</Badge>;
}

function Viewer({
  shot,
  zone,
  at,
  of,
  onMove,
  onClose,
  onDelete,
}: {
  shot: Screenshot;
  zone: string;
  at: number;
  of: number;
  onMove: (way: number) => void;
  onClose: () => void;
  onDelete: () => void;
}) {
  const [asks, setAsks] = useState(false);
  const move = useEffectEvent(onMove);
  // Wherever the focus is within the dialog.
  useEffect(() => {
    const byKey = (event: KeyboardEvent): void => {
      if (event.key === 'ArrowLeft') move(-1);
      else if (event.key === 'ArrowRight') move(1);
    };
    window.addEventListener('keydown', byKey);
    return () => window.removeEventListener('keydown', byKey);
  }, []);
  return (
    <Dialog title={momentOf(shot.capturedAt, zone)} isOpen onClose={onClose} wide>
      <div className="space-y-3">
        {shot.url ? (
          <img
            src={shot.url}
            alt={t('Screenshot of {time}', { time: timeOf(shot.capturedAt, zone) })}
            className="w-full rounded"
          />
        ) : (
          <p>{shot.failure?.message ?? t('On its way')}</p>
        )}
        <div className="flex flex-wrap items-center justify-between gap-2">
          <div className="flex items-center gap-2">
            <Button isDisabled={at === 0} onPress={() => onMove(-1)}>
              ‹ {t('Newer')}
            </Button>
            <Button isDisabled={at === of - 1} onPress={() => onMove(1)}>
              {t('Older')} ›
            </Button>
            <BlurBadge level={shot.blurLevel} />
          </div>
          {asks ? (
            <Button look="danger" onPress={onDelete}>
              {t('Delete for good')}
            </Button>
          ) : (
            <Button look="danger" onPress={() => setAsks(true)}>
              {t('Delete')}
            </Button>
          )}
        </div>
      </div>
    </Dialog>
  );
}
