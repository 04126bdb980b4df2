import { useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { client, type Schemas } from '../api/client.ts';
import { useAccount } from '../api/session.ts';
import { Area, Button, Dialog, Input, Select } from '../parts/controls.tsx';
import { isManager, useProjects } from '../parts/people.tsx';
import { Badge, Box, Empty, Failure, Page, Shown } from '../parts/states.tsx';
import { say, tried } from '../parts/toasts.tsx';
import { t } from '../text/index.ts';
import { duration } from '../time/format.ts';

type Project = Schemas['Project'];
type Status = Project['status'];

const statusTexts = () =>
  ({
    active: t('Active project'),
    on_hold: t('On hold'),
    completed: t('Completed'),
    archived: t('Archived'),
  }) satisfies Record<Status, string>;

export function Projects() {
  const { user } = useAccount();
  const projects = useProjects();
  const [open, setOpen] = useState<Project | 'new'>();
  const mayWrite = isManager(user.role);
  const texts = statusTexts();
  return (
    <Page
      title={t('Projects')}
      actions={
        mayWrite && (
          <Button look="primary" onPress={() => setOpen('new')}>
            {t('New project')}
          </Button>
        )
      }
    >
      <Shown of={projects} isEmpty={({ items }) => items.length === 0} empty={<Empty title={t('No projects yet.')} />}>
        {({ items }) => (
          <Box flush title={t('Projects')}>
            <table className="table">
              <thead>
                <tr>
                  <th scope="col">{t('Name')}</th>
                  <th scope="col">{t('Client')}</th>
                  <th scope="col">{t('State')}</th>
                  <th scope="col" className="number">
                    {t('Budget')}
                  </th>
                  <th scope="col">
                    <span className="sr-only">{t('Actions')}</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {items.map((project) => (
                  <tr key={project.id}>
                    <td>
                      <Link to="/tasks" search={{ projectId: project.id }} className="underline">
                        {project.name}
                      </Link>
                      {project.description && <div className="text-sm text-quiet">{project.description}</div>}
                    </td>
                    <td>{project.clientName ?? '–'}</td>
                    <td>
                      <Badge tone={project.status === 'active' ? 'good' : 'plain'}>{texts[project.status]}</Badge>
                    </td>
                    <td className="number">{project.budgetSeconds === null ? '–' : duration(project.budgetSeconds)}</td>
                    <td className="number">
                      {mayWrite && (
                        <Button
                          small
                          onPress={() => setOpen(project)}
                          aria-label={t('Change {name}', { name: project.name })}
                        >
                          {t('Change')}
                        </Button>
                      )}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </Box>
        )}
      </Shown>
      {open && <ProjectDialog project={open === 'new' ? undefined : open} onClose={() => setOpen(undefined)} />}
    </Page>
  );
}

function ProjectDialog({ project, onClose }: { project: Project | undefined; onClose: () => void }) {
  const queries = useQueryClient();
  const [error, setError] = useState<unknown>();
  const [form, setForm] = useState({
    name: project?.name ?? '',
    clientName: project?.clientName ?? '',
    description: project?.description ?? '',
    status: project?.status ?? ('active' as Status),
    hours: project?.budgetSeconds ? String(project.budgetSeconds / 3_600) : '',
  });
  const set = (change: Partial<typeof form>) => setForm({ ...form, ...change });
  const changed = () => queries.invalidateQueries({ queryKey: ['get', '/api/v1/projects'] });
  const submit = async (): Promise<void> => {
    const body = {
      name: form.name,
      clientName: form.clientName || null,
      description: form.description || null,
      status: form.status,
      budgetSeconds: form.hours ? Math.round(Number(form.hours) * 3_600) : null,
    };
    try {
      if (project) {
        const params = { path: { id: project.id } };
        await client.PATCH('/api/v1/projects/{id}', { params, body: { ...body, version: project.version } });
      } else await client.POST('/api/v1/projects', { body });
      onClose();
    } catch (cause) {
      setError(cause);
    }
    await changed();
  };
  const remove = async (): Promise<void> => {
    const params = { path: { id: project!.id } };
    if (!(await tried(() => client.DELETE('/api/v1/projects/{id}', { params })))) return;
    onClose();
    say(t('The project was deleted.'), async () => {
      await client.POST('/api/v1/projects/{id}/restore', { params });
      await changed();
    });
    await changed();
  };
  const texts = statusTexts();
  return (
    <Dialog title={project ? t('Change the project') : t('New project')} isOpen onClose={onClose}>
      <form
        className="space-y-4"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <Input label={t('Name')} required maxLength={200} value={form.name} onText={(name) => set({ name })} />
        <Input
          label={t('Client')}
          maxLength={200}
          value={form.clientName}
          onText={(clientName) => set({ clientName })}
        />
        <Area
          label={t('Description')}
          rows={3}
          value={form.description}
          onText={(description) => set({ description })}
        />
        <Select
          label={t('State')}
          options={Object.entries(texts).map(([value, text]) => ({ value, text }))}
          value={form.status}
          onValue={(status) => set({ status: status as Status })}
        />
        <Input
          label={t('Budget in hours')}
          type="number"
          min={0}
          step="any"
          value={form.hours}
          onText={(hours) => set({ hours })}
        />
        {error !== undefined && <Failure error={error} />}
        <div className="flex justify-between gap-2">
          <Button type="submit" look="primary">
            {t('Save')}
          </Button>
          {project && (
            <Button look="danger" onPress={() => void remove()}>
              {t('Delete')}
            </Button>
          )}
        </div>
      </form>
    </Dialog>
  );
}
