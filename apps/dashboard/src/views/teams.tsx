import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, client, type Schemas } from '../api/client.ts';
import { useAccount } from '../api/session.ts';
import { Button, Dialog, Input, Select } from '../parts/controls.tsx';
import { isManager, useNames, usePeople, useProjectNames, useProjects } from '../parts/people.tsx';
import { Box, Empty, Failure, Page, Shown } from '../parts/states.tsx';
import { tried } from '../parts/toasts.tsx';
import { t } from '../text/index.ts';
import { number } from '../time/format.ts';

type Team = Schemas['Team'];

export function Teams() {
  const { user } = useAccount();
  const teams = api.useQuery('get', '/api/v1/teams', { params: { query: { limit: 500 } } });
  const projectName = useProjectNames();
  const [isNew, setNew] = useState(false);
  const [open, setOpen] = useState<Team>();
  const mayWrite = isManager(user.role);
  return (
    <Page
      title={t('Teams')}
      actions={
        mayWrite && (
          <Button look="primary" onPress={() => setNew(true)}>
            {t('New team')}
          </Button>
        )
      }
    >
      <Shown of={teams} isEmpty={({ items }) => items.length === 0} empty={<Empty title={t('No teams yet.')} />}>
        {({ items }) => (
          <Box flush title={t('Teams')}>
            <table className="table">
              <thead>
                <tr>
                  <th scope="col">{t('Name')}</th>
                  <th scope="col">{t('Project')}</th>
                  <th scope="col" className="number">
                    {t('Members')}
                  </th>
                  <th scope="col">
                    <span className="sr-only">{t('Actions')}</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {items.map((team) => (
                  <tr key={team.id}>
                    <td>{team.name}</td>
                    <td>{projectName(team.projectId)}</td>
                    <td className="number">{number(team.memberCount)}</td>
                    <td className="number">
                      <Button
                        small
                        onPress={() => setOpen(team)}
                        aria-label={t('Members of {name}', { name: team.name })}
                      >
                        {t('Members')}
                      </Button>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </Box>
        )}
      </Shown>
      {isNew && <NewTeam onClose={() => setNew(false)} />}
      {open && <Members team={open} mayWrite={mayWrite} onClose={() => setOpen(undefined)} />}
    </Page>
  );
}

function useTeamsChanged() {
  const queries = useQueryClient();
  return () =>
    queries.invalidateQueries({ predicate: ({ queryKey }) => String(queryKey[1]).startsWith('/api/v1/teams') });
}

function NewTeam({ onClose }: { onClose: () => void }) {
  const { data: projects } = useProjects();
  const changed = useTeamsChanged();
  const [name, setName] = useState('');
  const [projectId, setProject] = useState('');
  const [error, setError] = useState<unknown>();
  const submit = async (): Promise<void> => {
    try {
      await client.POST('/api/v1/teams', { body: { name, projectId: projectId || null } });
      onClose();
    } catch (cause) {
      setError(cause);
    }
    await changed();
  };
  const options = [
    { value: '', text: t('No project') },
    ...(projects?.items ?? []).map((one) => ({ value: one.id, text: one.name })),
  ];
  return (
    <Dialog title={t('New team')} isOpen onClose={onClose}>
      <form
        className="space-y-4"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <Input label={t('Name')} required maxLength={200} value={name} onText={setName} />
        <Select label={t('Project')} options={options} value={projectId} onValue={setProject} />
        {error !== undefined && <Failure error={error} />}
        <Button type="submit" look="primary">
          {t('Save')}
        </Button>
      </form>
    </Dialog>
  );
}

function Members({ team, mayWrite, onClose }: { team: Team; mayWrite: boolean; onClose: () => void }) {
  const path = { id: team.id };
  const members = api.useQuery('get', '/api/v1/teams/{id}/members', { params: { path, query: { limit: 500 } } });
  const { data: people = [] } = usePeople();
  const nameOf = useNames();
  const changed = useTeamsChanged();
  const [userId, setUser] = useState('');
  const add = (id: string, role: 'member' | 'lead') =>
    tried(async () => {
      await client.POST('/api/v1/teams/{id}/members', { params: { path }, body: { userId: id, role } });
      await changed();
    });
  const remove = (id: string) =>
    tried(async () => {
      await client.DELETE('/api/v1/teams/{id}/members/{userId}', { params: { path: { ...path, userId: id } } });
      await changed();
    });
  const removeTeam = async () => {
    if (await tried(() => client.DELETE('/api/v1/teams/{id}', { params: { path } }))) onClose();
    await changed();
  };
  const present = members.data?.items ?? [];
  const others = people.filter(({ id, status }) => status === 'active' && !present.some((one) => one.userId === id));
  return (
    <Dialog title={team.name} isOpen onClose={onClose}>
      <Shown
        of={members}
        isEmpty={({ items }) => items.length === 0}
        empty={<p className="text-quiet">{t('No members yet.')}</p>}
      >
        {({ items }) => (
          <ul className="space-y-2">
            {items.map((one) => (
              <li key={one.userId} className="flex items-center justify-between gap-3">
                <span className="min-w-0 truncate">{nameOf(one.userId)}</span>
                {mayWrite ? (
                  <span className="flex items-center gap-2">
                    <select
                      aria-label={t('Role of {name}', { name: nameOf(one.userId) })}
                      className="min-h-8 rounded-md border border-line px-1 text-sm"
                      value={one.role}
                      onChange={(event) => void add(one.userId, event.target.value as 'member' | 'lead')}
                    >
                      <option value="member">{t('Member')}</option>
                      <option value="lead">{t('Lead')}</option>
                    </select>
                    <Button
                      small
                      aria-label={t('Remove {name}', { name: nameOf(one.userId) })}
                      onPress={() => void remove(one.userId)}
                    >
                      ✕
                    </Button>
                  </span>
                ) : (
                  <span className="text-quiet">{one.role === 'lead' ? t('Lead') : t('Member')}</span>
                )}
              </li>
            ))}
          </ul>
        )}
      </Shown>
      {mayWrite && (
        <div className="mt-5 space-y-4 border-t border-line pt-4">
          <div className="flex items-end gap-2">
            <Select
              className="flex-1"
              label={t('Add a person')}
              options={[{ value: '', text: '–' }, ...others.map(({ id, name }) => ({ value: id, text: name }))]}
              value={userId}
              onValue={setUser}
            />
            <Button isDisabled={!userId} onPress={() => void add(userId, 'member').then(() => setUser(''))}>
              {t('Add')}
            </Button>
          </div>
          <Button look="danger" small onPress={() => void removeTeam()}>
            {t('Delete the team')}
          </Button>
        </div>
      )}
    </Dialog>
  );
}
