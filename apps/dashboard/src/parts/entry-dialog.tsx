import { useState } from 'react';
import { api, client, type Schemas } from '../api/client.ts';
import { useAccount } from '../api/session.ts';
import { t } from '../text/index.ts';
import { clockOf, duration, momentOf } from '../time/format.ts';
import { dateOf, instantAt, type LocalDate } from '../time/zones.ts';
import { Button, Check, Dialog, Input, Select } from './controls.tsx';
import { useNames, useProjectNames, useProjects } from './people.tsx';
import { Failure, Shown } from './states.tsx';
import { useEntriesChanged } from './timer.tsx';
import { say, tried } from './toasts.tsx';

type TimeEntry = Schemas['TimeEntry'];
export type EntryDraft =
  | { kind: 'new'; from: number | undefined; to: number | undefined }
  | { kind: 'edit'; entry: TimeEntry };

interface Form {
  projectId: string;
  taskId: string;
  description: string;
  billable: boolean;
  date: LocalDate;
  start: string;
  endDate: LocalDate;
  end: string;
  reason: string;
}

function formOf(draft: EntryDraft, date: LocalDate, zone: string): Form {
  const now = Math.floor(Date.now() / 300_000) * 300_000;
  const isToday = dateOf(now, zone) === date;
  const entry = draft.kind === 'edit' ? draft.entry : undefined;
  const from = entry ? Date.parse(entry.startTime) : draft.kind === 'new' ? draft.from : undefined;
  const to = entry
    ? entry.endTime === null
      ? undefined
      : Date.parse(entry.endTime)
    : draft.kind === 'new'
      ? draft.to
      : undefined;
  const start = from ?? (isToday ? now - 1_800_000 : instantAt(date, '09:00', zone));
  const end = to ?? (isToday ? now : instantAt(date, '10:00', zone));
  return {
    projectId: entry?.projectId ?? '',
    taskId: entry?.taskId ?? '',
    description: entry?.description ?? '',
    billable: entry?.billable ?? false,
    date: dateOf(start, zone),
    start: clockOf(start, zone),
    endDate: dateOf(end, zone),
    end: clockOf(end, zone),
    reason: '',
  };
}

/** Makes or corrects an entry, each with a way back. */
export function EntryDialog({
  draft,
  date,
  zone,
  userId,
  onClose,
}: {
  draft: EntryDraft;
  date: LocalDate;
  zone: string;
  userId: string;
  onClose: () => void;
}) {
  const { user } = useAccount();
  const { data: projects } = useProjects();
  const [form, setForm] = useState(() => formOf(draft, date, zone));
  const [initial] = useState(form);
  const [error, setError] = useState<unknown>();
  const changed = useEntriesChanged();
  const entry = draft.kind === 'edit' ? draft.entry : undefined;
  const isOpenEntry = entry?.endTime === null;
  const set = (change: Partial<Form>) => setForm({ ...form, ...change });
  const start = instantAt(form.date, form.start || '00:00', zone);
  const end = instantAt(form.endDate, form.end || '00:00', zone);
  const tasks = api.useQuery(
    'get',
    '/api/v1/tasks',
    { params: { query: { projectId: form.projectId, limit: 200 } } },
    { enabled: form.projectId !== '' },
  );

  const create = async (): Promise<void> => {
    const { data } = await client.POST('/api/v1/time-entries/manual', {
      body: {
        projectId: form.projectId || null,
        taskId: form.taskId || null,
        description: form.description || null,
        billable: form.billable,
        timezone: zone,
        startTime: new Date(start).toISOString(),
        endTime: new Date(end).toISOString(),
        ...(userId === user.id ? {} : { userId }),
      },
    });
    say(t('The entry was added.'), async () => {
      await client.DELETE('/api/v1/time-entries/{id}', { params: { path: { id: data!.id } } });
      await changed();
    });
  };

  const save = async (of: TimeEntry): Promise<void> => {
    // Only what was touched: minutes of a form are no seconds of an entry.
    const times = {
      ...(form.date !== initial.date || form.start !== initial.start
        ? { startTime: new Date(start).toISOString() }
        : {}),
      ...(!isOpenEntry && (form.endDate !== initial.endDate || form.end !== initial.end)
        ? { endTime: new Date(end).toISOString() }
        : {}),
    };
    const about = {
      projectId: form.projectId || null,
      taskId: form.taskId || null,
      description: form.description || null,
      billable: form.billable,
    };
    const params = { path: { id: of.id } };
    const { data } = await client.PATCH('/api/v1/time-entries/{id}', {
      params,
      body: { ...about, ...times, ...(form.reason ? { reason: form.reason } : {}), version: of.version },
    });
    say(t('The entry was corrected.'), async () => {
      const { projectId, taskId, description, billable, startTime, endTime } = of;
      await client.PATCH('/api/v1/time-entries/{id}', {
        params,
        body: {
          ...{ projectId, taskId, description, billable },
          ...('startTime' in times ? { startTime } : {}),
          ...('endTime' in times && endTime ? { endTime } : {}),
          version: data!.version,
        },
      });
      await changed();
    });
  };

  const remove = async (of: TimeEntry): Promise<void> => {
    const isDone = await tried(() =>
      client.DELETE('/api/v1/time-entries/{id}', {
        params: { path: { id: of.id }, query: form.reason ? { reason: form.reason } : {} },
      }),
    );
    if (!isDone) return;
    onClose();
    await changed();
    const { projectId, taskId, description, billable, tags, timezone, startTime, endTime } = of;
    const back = async () => {
      const body = { projectId, taskId, description, billable, tags, timezone, startTime };
      if (endTime === null) await client.POST('/api/v1/time-entries', { body });
      else {
        await client.POST('/api/v1/time-entries/manual', {
          body: { ...body, endTime, ...(of.userId === user.id ? {} : { userId: of.userId }) },
        });
      }
      await changed();
    };
    // Pauses of a timer are not given back by hand.
    say(t('The entry was deleted.'), of.pauses.length === 0 ? back : undefined);
  };

  const submit = async (): Promise<void> => {
    setError(undefined);
    try {
      await (entry ? save(entry) : create());
      onClose();
    } catch (cause) {
      setError(cause);
    }
    await changed();
  };

  const projectOptions = [
    { value: '', text: t('No project') },
    ...(projects?.items ?? [])
      .filter(({ id, status }) => status === 'active' || id === entry?.projectId)
      .map(({ id, name }) => ({ value: id, text: name })),
  ];
  const taskOptions = [
    { value: '', text: t('No task') },
    ...(tasks.data?.items ?? []).map(({ id, title }) => ({ value: id, text: title })),
  ];
  return (
    <Dialog title={entry ? t('Correct the entry') : t('Add time')} isOpen onClose={onClose}>
      <form
        className="space-y-4"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <div className="grid grid-cols-2 gap-3">
          <Input label={t('Date')} type="date" required value={form.date} onText={(text) => set({ date: text })} />
          <Input label={t('Begin')} type="time" required value={form.start} onText={(text) => set({ start: text })} />
          {!isOpenEntry && (
            <>
              <Input
                label={t('Last day')}
                type="date"
                required
                value={form.endDate}
                onText={(text) => set({ endDate: text })}
              />
              <Input
                label={t('End')}
                type="time"
                required
                value={form.end}
                onText={(text) => set({ end: text })}
                help={end > start ? duration((end - start) / 1_000) : undefined}
                error={end > start ? undefined : t('The end is after the begin.')}
              />
            </>
          )}
        </div>
        <Select
          label={t('Project')}
          options={projectOptions}
          value={form.projectId}
          onValue={(projectId) => set({ projectId, taskId: '' })}
        />
        {form.projectId !== '' && (
          <Select label={t('Task')} options={taskOptions} value={form.taskId} onValue={(taskId) => set({ taskId })} />
        )}
        <Input
          label={t('What are you working on?')}
          value={form.description}
          maxLength={2000}
          onText={(description) => set({ description })}
        />
        <Check
          label={t('Billable')}
          checked={form.billable}
          onChange={(event) => set({ billable: event.target.checked })}
        />
        {entry && (
          <Input
            label={t('Why (stays in the history)')}
            value={form.reason}
            maxLength={500}
            onText={(reason) => set({ reason })}
          />
        )}
        {error !== undefined && <Failure error={error} />}
        <div className="flex flex-wrap justify-between gap-2">
          <Button type="submit" look="primary" isDisabled={!isOpenEntry && end <= start}>
            {t('Save')}
          </Button>
          {entry && (
            <Button look="danger" onPress={() => void remove(entry)}>
              {t('Delete')}
            </Button>
          )}
        </div>
      </form>
      {entry && <History entry={entry} zone={zone} />}
    </Dialog>
  );
}

function History({ entry, zone }: { entry: TimeEntry; zone: string }) {
  const nameOf = useNames();
  const projectName = useProjectNames();
  const history = api.useQuery('get', '/api/v1/time-entries/{id}/history', {
    params: { path: { id: entry.id }, query: { limit: 50 } },
  });
  const actions = {
    started: t('started'),
    paused: t('paused'),
    resumed: t('resumed'),
    stopped: t('stopped'),
    created: t('created'),
    edited: t('corrected'),
    deleted: t('deleted'),
    merged: t('merged'),
    synced: t('synchronised'),
  };
  return (
    <details className="mt-5">
      <summary className="cursor-pointer font-medium">{t('History')}</summary>
      <Shown of={history}>
        {({ items }) => (
          <ol className="mt-2 space-y-1 text-sm">
            {items.map(({ at, actorId, action, after, reason }) => (
              <li key={`${at} ${action}`}>
                {momentOf(at, zone)}: {nameOf(actorId)} {actions[action]}
                {after?.projectId ? ` · ${projectName(after.projectId)}` : ''}
                {reason ? ` · ${reason}` : ''}
              </li>
            ))}
          </ol>
        )}
      </Shown>
    </details>
  );
}
