import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { type DragEvent, useEffect, useState } from 'react';
import { api, client, readAll, type Schemas } from '../api/client.ts';
import { useAccount } from '../api/session.ts';
import { Area, Button, Check, Choice, Dialog, Input, Select } from '../parts/controls.tsx';
import { isManager, useNames, usePeople, useProjectNames, useProjects } from '../parts/people.tsx';
import { Badge, Box, Empty, Failure, Page, Shown } from '../parts/states.tsx';
import { say, tried } from '../parts/toasts.tsx';
import { t } from '../text/index.ts';
import { dayOf } from '../time/format.ts';
import { today } from '../time/zones.ts';

type Task = Schemas['Task'];
type Status = Task['status'];
type Priority = Task['priority'];

const statuses: readonly Status[] = ['todo', 'in_progress', 'done'];
const statusTexts = () =>
  ({ todo: t('To do'), in_progress: t('In progress'), done: t('Done') }) satisfies Record<Status, string>;
const priorityTexts = () =>
  ({ low: t('Low'), medium: t('Medium'), high: t('High') }) satisfies Record<Priority, string>;

interface Search {
  view?: 'board' | 'list';
  projectId?: string;
  mine?: boolean;
}

function useMove() {
  const queries = useQueryClient();
  return async (task: Task, status: Status): Promise<void> => {
    if (task.status === status) return;
    const params = { path: { id: task.id } };
    let version = task.version;
    const isDone = await tried(async () => {
      const { data } = await client.PATCH('/api/v1/tasks/{id}', { params, body: { status, version } });
      version = data!.version;
    });
    await queries.invalidateQueries({ queryKey: ['get', '/api/v1/tasks'] });
    if (!isDone) return;
    say(t('{title}: {status}', { title: task.title, status: statusTexts()[status] }), async () => {
      await client.PATCH('/api/v1/tasks/{id}', { params, body: { status: task.status, version } });
      await queries.invalidateQueries({ queryKey: ['get', '/api/v1/tasks'] });
    });
  };
}

export function Tasks() {
  const { user } = useAccount();
  const search = useSearch({ strict: false }) as Search;
  const { id: chosen } = useParams({ strict: false });
  const navigate = useNavigate();
  const { data: projects } = useProjects();
  const [open, setOpen] = useState<Task | 'new'>();
  const view = search.view ?? 'board';
  const query = {
    limit: 200,
    ...(search.projectId ? { projectId: search.projectId } : {}),
    ...(search.mine ? { assigneeId: user.id } : {}),
  };
  const tasks = useQuery({
    queryKey: ['get', '/api/v1/tasks', 'all', query],
    queryFn: ({ signal }) =>
      readAll(
        (cursor) =>
          client.GET('/api/v1/tasks', { params: { query: { ...query, ...(cursor ? { cursor } : {}) } }, signal }),
        2_000,
      ),
  });
  const linked = api.useQuery(
    'get',
    '/api/v1/tasks/{id}',
    { params: { path: { id: chosen ?? '' } } },
    { enabled: chosen !== undefined },
  );
  useEffect(() => {
    if (linked.data) setOpen(linked.data);
  }, [linked.data]);
  const set = (change: Search): void =>
    void navigate({ to: '/tasks', search: { ...search, ...change } as never, replace: true });
  const close = (): void => {
    setOpen(undefined);
    if (chosen !== undefined) void navigate({ to: '/tasks', search: search as never });
  };
  const options = [
    { value: '', text: t('All projects') },
    ...(projects?.items ?? []).map(({ id, name }) => ({ value: id, text: name })),
  ];
  return (
    <Page
      title={t('Tasks')}
      wide
      actions={
        <Button look="primary" isDisabled={!projects?.items.length} onPress={() => setOpen('new')}>
          {t('New task')}
        </Button>
      }
    >
      <div className="no-print flex flex-wrap items-end gap-4">
        <Choice
          label={t('View')}
          value={view}
          options={[
            { value: 'board', text: t('Board') },
            { value: 'list', text: t('List') },
          ]}
          onValue={(next) => set({ view: next })}
        />
        <div className="w-full sm:w-56">
          <Select
            label={t('Project')}
            options={options}
            value={search.projectId ?? ''}
            onValue={(projectId) => set({ projectId: (projectId || undefined) as string })}
          />
        </div>
        <Check
          label={t('Only mine')}
          checked={search.mine ?? false}
          onChange={(event) => set({ mine: (event.target.checked || undefined) as boolean })}
        />
      </div>
      {projects?.items.length === 0 && <Empty title={t('Tasks belong to projects, and there are none yet.')} />}
      {linked.error && <Failure error={linked.error} />}
      <Shown of={tasks} isEmpty={(all) => all.length === 0} empty={<Empty title={t('No tasks here.')} />}>
        {(all) => (view === 'board' ? <Board tasks={all} onOpen={setOpen} /> : <List tasks={all} onOpen={setOpen} />)}
      </Shown>
      {open && (
        <TaskDialog
          key={open === 'new' ? 'new' : open.id}
          task={open === 'new' ? undefined : open}
          projectId={search.projectId}
          onClose={close}
        />
      )}
    </Page>
  );
}

function Due({ task }: { task: Task }) {
  const { user } = useAccount();
  if (task.dueDate === null) return null;
  const isLate = task.status !== 'done' && task.dueDate < today(user.timezone);
  return (
    <Badge tone={isLate ? 'bad' : 'plain'}>
      {isLate && `${t('Overdue')} · `}
      {dayOf(task.dueDate.slice(0, 10), 'short')}
    </Badge>
  );
}

/** Cards are dragged from column to column; the select on each does the same. */
function Board({ tasks, onOpen }: { tasks: readonly Task[]; onOpen: (task: Task) => void }) {
  const move = useMove();
  const nameOf = useNames();
  const projectName = useProjectNames();
  const texts = statusTexts();
  const drop = (status: Status) => (event: DragEvent) => {
    event.preventDefault();
    const task = tasks.find(({ id }) => id === event.dataTransfer.getData('text/plain'));
    if (task) void move(task, status);
  };
  return (
    <div className="grid gap-4 md:grid-cols-3">
      {statuses.map((status) => {
        const own = tasks.filter((task) => task.status === status);
        return (
          <section
            key={status}
            aria-label={texts[status]}
            className="box bg-page p-3"
            onDragOver={(event) => event.preventDefault()}
            onDrop={drop(status)}
          >
            <h2 className="mb-3 flex justify-between px-1">
              {texts[status]} <span className="text-quiet">{own.length}</span>
            </h2>
            <ul className="space-y-2">
              {own.map((task) => (
                <li
                  key={task.id}
                  draggable
                  onDragStart={(event) => event.dataTransfer.setData('text/plain', task.id)}
                  className="box cursor-grab space-y-2 p-3"
                >
                  <button
                    type="button"
                    className="block w-full cursor-pointer text-start font-medium [overflow-wrap:anywhere]"
                    onClick={() => onOpen(task)}
                  >
                    {task.title}
                  </button>
                  <div className="text-sm text-quiet">
                    {projectName(task.projectId)}
                    {task.assigneeId && ` · ${nameOf(task.assigneeId)}`}
                  </div>
                  <div className="flex flex-wrap items-center gap-2">
                    <Badge tone={task.priority === 'high' ? 'warn' : 'plain'}>{priorityTexts()[task.priority]}</Badge>
                    <Due task={task} />
                    <StatusSelect task={task} />
                  </div>
                </li>
              ))}
            </ul>
          </section>
        );
      })}
    </div>
  );
}

function StatusSelect({ task }: { task: Task }) {
  const move = useMove();
  const texts = statusTexts();
  return (
    <select
      aria-label={t('State of {title}', { title: task.title })}
      className="ms-auto min-h-8 rounded-md border border-line px-1 text-sm"
      value={task.status}
      onChange={(event) => void move(task, event.target.value as Status)}
    >
      {statuses.map((status) => (
        <option key={status} value={status}>
          {texts[status]}
        </option>
      ))}
    </select>
  );
}

function List({ tasks, onOpen }: { tasks: readonly Task[]; onOpen: (task: Task) => void }) {
  const nameOf = useNames();
  const projectName = useProjectNames();
  return (
    <Box flush title={t('Tasks')}>
      <table className="table">
        <thead>
          <tr>
            <th scope="col">{t('Task')}</th>
            <th scope="col">{t('Project')}</th>
            <th scope="col">{t('Assignee')}</th>
            <th scope="col">{t('Priority')}</th>
            <th scope="col">{t('Due')}</th>
            <th scope="col">{t('State')}</th>
          </tr>
        </thead>
        <tbody>
          {tasks.map((task) => (
            <tr key={task.id}>
              <td>
                <button type="button" className="cursor-pointer text-start underline" onClick={() => onOpen(task)}>
                  {task.title}
                </button>
              </td>
              <td>{projectName(task.projectId)}</td>
              <td>{nameOf(task.assigneeId)}</td>
              <td>{priorityTexts()[task.priority]}</td>
              <td>{task.dueDate ? <Due task={task} /> : '–'}</td>
              <td>
                <StatusSelect task={task} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Box>
  );
}

function TaskDialog({
  task,
  projectId,
  onClose,
}: {
  task: Task | undefined;
  projectId: string | undefined;
  onClose: () => void;
}) {
  const { user } = useAccount();
  const queries = useQueryClient();
  const { data: projects } = useProjects();
  const { data: people = [] } = usePeople();
  const nameOf = useNames();
  const [error, setError] = useState<unknown>();
  const active = (projects?.items ?? []).filter(({ id, status }) => status === 'active' || id === task?.projectId);
  const [form, setForm] = useState({
    title: task?.title ?? '',
    description: task?.description ?? '',
    projectId: task?.projectId ?? projectId ?? active[0]?.id ?? '',
    assigneeId: task?.assigneeId ?? '',
    priority: task?.priority ?? ('medium' as Priority),
    status: task?.status ?? ('todo' as Status),
    dueDate: task?.dueDate?.slice(0, 10) ?? '',
  });
  const [initial] = useState(form);
  const set = (change: Partial<typeof form>) => setForm({ ...form, ...change });
  const changed = () => queries.invalidateQueries({ queryKey: ['get', '/api/v1/tasks'] });
  const isOwn = !task || isManager(user.role) || task.creatorId === user.id;
  const submit = async (): Promise<void> => {
    setError(undefined);
    const body = {
      ...form,
      description: form.description || null,
      assigneeId: form.assigneeId || null,
      dueDate: form.dueDate || null,
    };
    try {
      if (task) {
        // Only what was touched: an assignee may move it on and nothing else.
        const touched = Object.fromEntries(
          Object.entries(body).filter(([key]) => form[key as keyof typeof form] !== initial[key as keyof typeof form]),
        );
        const params = { path: { id: task.id } };
        await client.PATCH('/api/v1/tasks/{id}', { params, body: { ...touched, version: task.version } });
      } else await client.POST('/api/v1/tasks', { body });
      onClose();
    } catch (cause) {
      setError(cause);
    }
    await changed();
  };
  const remove = async (): Promise<void> => {
    const params = { path: { id: task!.id } };
    if (!(await tried(() => client.DELETE('/api/v1/tasks/{id}', { params })))) return;
    onClose();
    say(t('The task was deleted.'), async () => {
      await client.POST('/api/v1/tasks/{id}/restore', { params });
      await changed();
    });
    await changed();
  };
  const assignees = people.filter(({ status }) => status === 'active');
  const assigneeOptions = [
    { value: '', text: t('Nobody') },
    ...assignees.map(({ id, name }) => ({ value: id, text: name })),
    ...(form.assigneeId && !assignees.some(({ id }) => id === form.assigneeId)
      ? [{ value: form.assigneeId, text: nameOf(form.assigneeId) }]
      : []),
  ];
  return (
    <Dialog title={task ? t('Task') : t('New task')} isOpen onClose={onClose}>
      <form
        className="space-y-4"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <Input
          label={t('Title')}
          required
          maxLength={500}
          disabled={!isOwn}
          value={form.title}
          onText={(title) => set({ title })}
        />
        <Area
          label={t('Description')}
          rows={4}
          disabled={!isOwn}
          value={form.description}
          onText={(description) => set({ description })}
        />
        <div className="grid grid-cols-2 gap-3">
          <Select
            label={t('Project')}
            disabled={!isOwn}
            options={active.map(({ id, name }) => ({ value: id, text: name }))}
            value={form.projectId}
            onValue={(value) => set({ projectId: value })}
          />
          <Select
            label={t('Assignee')}
            disabled={!isOwn}
            options={assigneeOptions}
            value={form.assigneeId}
            onValue={(assigneeId) => set({ assigneeId })}
          />
          <Select
            label={t('Priority')}
            disabled={!isOwn}
            options={Object.entries(priorityTexts()).map(([value, text]) => ({ value, text }))}
            value={form.priority}
            onValue={(priority) => set({ priority: priority as Priority })}
          />
          <Select
            label={t('State')}
            options={Object.entries(statusTexts()).map(([value, text]) => ({ value, text }))}
            value={form.status}
            onValue={(status) => set({ status: status as Status })}
          />
          <Input
            label={t('Due')}
            type="date"
            disabled={!isOwn}
            value={form.dueDate}
            onText={(dueDate) => set({ dueDate })}
          />
        </div>
        {error !== undefined && <Failure error={error} />}
        <div className="flex justify-between gap-2">
          <Button type="submit" look="primary">
            {t('Save')}
          </Button>
          {task && isOwn && (
            <Button look="danger" onPress={() => void remove()}>
              {t('Delete')}
            </Button>
          )}
        </div>
      </form>
    </Dialog>
  );
}
