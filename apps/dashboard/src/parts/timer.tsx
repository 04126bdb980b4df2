import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { api, client, type Schemas } from '../api/client.ts';
import { useAccount } from '../api/session.ts';
import { t } from '../text/index.ts';
import { duration } from '../time/format.ts';
import { Button, Dialog, Input, Select } from './controls.tsx';
import { useProjectNames, useProjects } from './people.tsx';
import { say, tried } from './toasts.tsx';

type TimeEntry = Schemas['TimeEntry'];

/** Worked time of an entry at an instant, in whole seconds, without its pauses. */
export function workedAt(entry: Pick<TimeEntry, 'startTime' | 'endTime' | 'pauses'>, now: number): number {
  const at = (text: string | null): number => (text === null ? now : Date.parse(text));
  const paused = entry.pauses.reduce((sum, { from, to }) => sum + at(to) - at(from), 0);
  return Math.max(0, Math.round((at(entry.endTime) - at(entry.startTime) - paused) / 1_000));
}

export function useNow(everyMs = 1_000): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

export function useEntriesChanged(): () => Promise<void> {
  const queries = useQueryClient();
  return () =>
    queries.invalidateQueries({
      predicate: ({ queryKey }) => /^\/api\/v1\/(time-entries|reports)/.test(String(queryKey[1])),
    });
}

function Elapsed({ entry }: { entry: TimeEntry }) {
  const now = useNow();
  return (
    <span role="timer" className="text-lg font-semibold">
      {duration(workedAt(entry, now))}
    </span>
  );
}

function StartDialog({ isOpen, onClose }: { isOpen: boolean; onClose: () => void }) {
  const { user } = useAccount();
  const { data } = useProjects();
  const [projectId, setProject] = useState('');
  const [description, setDescription] = useState('');
  const changed = useEntriesChanged();
  const start = async () => {
    const isStarted = await tried(() =>
      client.POST('/api/v1/time-entries', {
        body: { projectId: projectId || null, description: description || null, timezone: user.timezone },
      }),
    );
    if (!isStarted) return;
    onClose();
    setDescription('');
    await changed();
  };
  const options = [
    { value: '', text: t('No project') },
    ...(data?.items ?? [])
      .filter(({ status }) => status === 'active')
      .map(({ id, name }) => ({ value: id, text: name })),
  ];
  return (
    <Dialog title={t('Start a timer')} isOpen={isOpen} onClose={onClose}>
      <form
        className="space-y-4"
        onSubmit={(event) => {
          event.preventDefault();
          void start();
        }}
      >
        <Select label={t('Project')} options={options} value={projectId} onValue={setProject} />
        <Input label={t('What are you working on?')} value={description} onText={setDescription} maxLength={2000} />
        <Button type="submit" look="primary">
          {t('Start')}
        </Button>
      </form>
    </Dialog>
  );
}

/** The running timer, in the header of every page. */
export function Timer() {
  const [isOpen, setOpen] = useState(false);
  const { data } = api.useQuery('get', '/api/v1/time-entries/active', {}, { refetchInterval: 60_000 });
  const projectName = useProjectNames();
  const changed = useEntriesChanged();
  const entry = data?.entry ?? null;
  const step = (name: 'pause' | 'resume' | 'stop') => async () => {
    if (!entry) return;
    const path = { params: { path: { id: entry.id } }, body: {} };
    const act = {
      pause: () => client.PUT('/api/v1/time-entries/{id}/pause', path),
      resume: () => client.PUT('/api/v1/time-entries/{id}/resume', path),
      stop: () => client.PUT('/api/v1/time-entries/{id}/stop', path),
    }[name];
    if ((await tried(act)) && name === 'stop')
      say(t('Stopped after {time}.', { time: duration(workedAt(entry, Date.now())) }));
    await changed();
  };
  if (data === undefined) return null;
  if (!entry) {
    return (
      <>
        <Button look="primary" onPress={() => setOpen(true)}>
          <span aria-hidden="true">▶</span> {t('Start a timer')}
        </Button>
        <StartDialog isOpen={isOpen} onClose={() => setOpen(false)} />
      </>
    );
  }
  const isPaused = entry.status === 'PAUSED';
  return (
    <section aria-label={t('Running timer')} className="flex items-center gap-2 sm:gap-3">
      <Elapsed entry={entry} />
      <span className="min-w-0 flex-1 truncate text-sm max-sm:sr-only">
        {isPaused && `${t('Paused')} · `}
        {entry.description ?? projectName(entry.projectId)}
      </span>
      <Button small onPress={step(isPaused ? 'resume' : 'pause')}>
        {isPaused ? t('Resume') : t('Pause')}
      </Button>
      <Button small look="primary" onPress={step('stop')}>
        {t('Stop')}
      </Button>
    </section>
  );
}
