import { useQuery } from '@tanstack/react-query';
import { api, client, readAll } from '../api/client.ts';
import { useAccount } from '../api/session.ts';
import { t } from '../text/index.ts';
import { Select } from './controls.tsx';

export const isManager = (role: string): boolean => role !== 'employee';

/** Everybody of the organisation, for who may see them; oneself alone for the others. */
export function usePeople() {
  const { user } = useAccount();
  return useQuery({
    queryKey: ['get', '/api/v1/users', 'all', user.id],
    queryFn: ({ signal }) =>
      isManager(user.role)
        ? readAll((cursor) =>
            client.GET('/api/v1/users', { params: { query: { limit: 500, ...(cursor ? { cursor } : {}) } }, signal }),
          )
        : [user],
    staleTime: 60_000,
  });
}

/** Names by id; of whom one may not see, that there is somebody. */
export function useNames(): (id: string | null | undefined) => string {
  const { user } = useAccount();
  const { data } = usePeople();
  return (id) => {
    if (!id) return '–';
    if (id === user.id) return user.name;
    return data?.find((one) => one.id === id)?.name ?? t('Somebody');
  };
}

export function PersonSelect({ value, onPerson }: { value: string; onPerson: (id: string) => void }) {
  const { user } = useAccount();
  const { data = [] } = usePeople();
  if (!isManager(user.role)) return null;
  const options = [
    { value: user.id, text: `${user.name} (${t('me')})` },
    ...data.filter(({ id }) => id !== user.id).map(({ id, name }) => ({ value: id, text: name })),
  ];
  return <Select label={t('Person')} options={options} value={value} onValue={onPerson} />;
}

export function useProjects() {
  return api.useQuery('get', '/api/v1/projects', { params: { query: { limit: 500 } } }, { staleTime: 30_000 });
}

export function useProjectNames(): (id: string | null | undefined) => string {
  const { data } = useProjects();
  return (id) => (id ? (data?.items.find((one) => one.id === id)?.name ?? t('A deleted project')) : t('No project'));
}
