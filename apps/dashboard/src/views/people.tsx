import { useQueryClient } from '@tanstack/react-query';
import { useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import { api, client, type Schemas } from '../api/client.ts';
import { useAccount } from '../api/session.ts';
import { Button, Dialog, Input, Select } from '../parts/controls.tsx';
import { isManager, usePeople } from '../parts/people.tsx';
import { Badge, Box, Empty, Failure, Forbidden, Page, Shown } from '../parts/states.tsx';
import { tried } from '../parts/toasts.tsx';
import { t } from '../text/index.ts';
import { ago, momentOf, number } from '../time/format.ts';

type User = Schemas['User'];
type Role = User['role'];

const roleTexts = () =>
  ({ admin: t('Administrator'), manager: t('Manager'), employee: t('Employee') }) satisfies Record<Role, string>;
const statusTexts = () =>
  ({ active: t('Active person'), inactive: t('Inactive'), suspended: t('Suspended') }) satisfies Record<
    User['status'],
    string
  >;

export function People() {
  const { user } = useAccount();
  return isManager(user.role) ? (
    <Directory />
  ) : (
    <Page title={t('People')}>
      <Forbidden />
    </Page>
  );
}

function useChanged() {
  const queries = useQueryClient();
  return () =>
    queries.invalidateQueries({
      predicate: ({ queryKey }) => /^\/api\/v1\/(users|invitations)/.test(String(queryKey[1])),
    });
}

function Directory() {
  const { user, organization } = useAccount();
  const { search = '' } = useSearch({ strict: false }) as { search?: string };
  const { id: chosen } = useParams({ strict: false });
  const navigate = useNavigate();
  const people = usePeople();
  const invitations = api.useQuery('get', '/api/v1/invitations', { params: { query: { limit: 200 } } });
  const changed = useChanged();
  const [invites, setInvites] = useState(false);
  const [keysOf, setKeysOf] = useState<User>();
  const isAdmin = user.role === 'admin';
  const roles = roleTexts();
  const states = statusTexts();
  const wanted = search.toLowerCase();
  const shown = (people.data ?? [])
    .filter(({ name, email }) => `${name} ${email}`.toLowerCase().includes(wanted))
    .sort((a, b) => a.name.localeCompare(b.name));
  // Who is inactive takes no seat; an invitation does.
  const seats =
    (people.data ?? []).filter(({ status }) => status !== 'inactive').length + (invitations.data?.items.length ?? 0);
  const change = (one: User, body: { role?: Role; status?: User['status'] }) =>
    tried(async () => {
      await client.PATCH('/api/v1/users/{id}', { params: { path: { id: one.id } }, body });
    }, t('Changed.')).finally(changed);
  const revoke = (id: string) =>
    tried(async () => {
      await client.DELETE('/api/v1/invitations/{id}', { params: { path: { id } } });
    }).finally(changed);
  return (
    <Page
      title={t('People')}
      actions={
        <Button look="primary" onPress={() => setInvites(true)}>
          {t('Invite')}
        </Button>
      }
    >
      <div className="flex flex-wrap items-end justify-between gap-3">
        <Input
          label={t('Search')}
          type="search"
          value={search}
          onText={(text) => void navigate({ to: '/people', search: text ? { search: text } : {}, replace: true })}
          className="w-full sm:w-72"
        />
        <p className="text-quiet">
          {t('{n, plural, one {# seat taken} other {# seats taken}}, plan {plan}', {
            n: seats,
            plan: organization.subscriptionStatus,
          })}
        </p>
      </div>
      <Shown of={people} isEmpty={() => shown.length === 0} empty={<Empty title={t('Nobody has such a name.')} />}>
        {() => (
          <Box flush title={t('People')}>
            <table className="table">
              <thead>
                <tr>
                  <th scope="col">{t('Name')}</th>
                  <th scope="col">{t('Role')}</th>
                  <th scope="col">{t('State')}</th>
                  <th scope="col">{t('Last activity')}</th>
                  <th scope="col">
                    <span className="sr-only">{t('Actions')}</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {shown.map((one) => (
                  <tr key={one.id} className={one.id === chosen ? 'bg-tint' : ''}>
                    <td>
                      {one.name}
                      <div className="text-sm text-quiet">{one.email}</div>
                    </td>
                    <td>
                      {isAdmin ? (
                        <select
                          aria-label={t('Role of {name}', { name: one.name })}
                          className="min-h-8 rounded-md border border-line px-1"
                          value={one.role}
                          onChange={(event) => void change(one, { role: event.target.value as Role })}
                        >
                          {Object.entries(roles).map(([value, text]) => (
                            <option key={value} value={value}>
                              {text}
                            </option>
                          ))}
                        </select>
                      ) : (
                        roles[one.role]
                      )}
                    </td>
                    <td>
                      {isAdmin ? (
                        <select
                          aria-label={t('State of {title}', { title: one.name })}
                          className="min-h-8 rounded-md border border-line px-1"
                          value={one.status}
                          onChange={(event) => void change(one, { status: event.target.value as User['status'] })}
                        >
                          {Object.entries(states).map(([value, text]) => (
                            <option key={value} value={value}>
                              {text}
                            </option>
                          ))}
                        </select>
                      ) : (
                        <Badge tone={one.status === 'active' ? 'good' : 'warn'}>{states[one.status]}</Badge>
                      )}
                    </td>
                    <td className="whitespace-nowrap text-quiet">
                      {one.lastSeenAt ? ago(one.lastSeenAt) : t('never')}
                    </td>
                    <td className="number">
                      {isAdmin && (
                        <Button
                          small
                          onPress={() => setKeysOf(one)}
                          aria-label={t('Agent keys of {name}', { name: one.name })}
                        >
                          {t('Agent keys')}
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
      {(invitations.data?.items.length ?? 0) > 0 && (
        <Box flush title={t('Invitations')}>
          <table className="table">
            <thead>
              <tr>
                <th scope="col">{t('E-mail')}</th>
                <th scope="col">{t('Role')}</th>
                <th scope="col">{t('Until')}</th>
                <th scope="col">
                  <span className="sr-only">{t('Actions')}</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {invitations.data?.items.map((one) => (
                <tr key={one.id}>
                  <td>{one.email}</td>
                  <td>{roles[one.role]}</td>
                  <td>
                    {momentOf(one.expiresAt, user.timezone)}{' '}
                    {one.status === 'expired' && <Badge tone="warn">{t('Expired')}</Badge>}
                  </td>
                  <td className="number">
                    <Button small onPress={() => void revoke(one.id)}>
                      {t('Take back')}
                    </Button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Box>
      )}
      {invites && <Invite onClose={() => setInvites(false)} />}
      {keysOf && <Keys of={keysOf} onClose={() => setKeysOf(undefined)} />}
    </Page>
  );
}

function Invite({ onClose }: { onClose: () => void }) {
  const changed = useChanged();
  const { user } = useAccount();
  const [email, setEmail] = useState('');
  const [role, setRole] = useState<Role>('employee');
  const [error, setError] = useState<unknown>();
  const submit = async (): Promise<void> => {
    setError(undefined);
    try {
      await client.POST('/api/v1/invitations', { body: { email, role } });
      onClose();
    } catch (cause) {
      setError(cause);
    }
    await changed();
  };
  const roles = Object.entries(roleTexts()).filter(([value]) => user.role === 'admin' || value !== 'admin');
  return (
    <Dialog title={t('Invite')} isOpen onClose={onClose}>
      <form
        className="space-y-4"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <Input label={t('E-mail')} type="email" required value={email} onText={setEmail} />
        <Select
          label={t('Role')}
          options={roles.map(([value, text]) => ({ value, text }))}
          value={role}
          onValue={(value) => setRole(value as Role)}
        />
        {error !== undefined && <Failure error={error} />}
        <Button type="submit" look="primary">
          {t('Send the invitation')}
        </Button>
      </form>
    </Dialog>
  );
}

function Keys({ of, onClose }: { of: User; onClose: () => void }) {
  const path = { id: of.id };
  const keys = api.useQuery('get', '/api/v1/users/{id}/agent-keys', { params: { path, query: { limit: 200 } } });
  const changed = useChanged();
  const revoke = (keyId: string) =>
    tried(async () => {
      await client.DELETE('/api/v1/users/{id}/agent-keys/{keyId}', { params: { path: { ...path, keyId } } });
    }, t('The key is revoked.')).finally(changed);
  return (
    <Dialog title={t('Agent keys of {name}', { name: of.name })} isOpen onClose={onClose}>
      <Shown of={keys} isEmpty={({ items }) => items.length === 0} empty={<p>{t('No agent keys.')}</p>}>
        {({ items }) => (
          <ul className="space-y-3">
            {items.map((one) => (
              <li key={one.id} className="flex items-center justify-between gap-3">
                <span className="min-w-0">
                  <span className="block truncate">{one.name}</span>
                  <span className="block text-sm text-quiet">
                    {one.lastUsedAt ? ago(one.lastUsedAt) : t('never')} {one.lastUsedFrom ?? ''}
                  </span>
                </span>
                <Button small look="danger" onPress={() => void revoke(one.id)}>
                  {t('Revoke')}
                </Button>
              </li>
            ))}
          </ul>
        )}
      </Shown>
      <p className="mt-4 text-sm text-quiet">{t('{n} keys', { n: number(keys.data?.items.length ?? 0) })}</p>
    </Dialog>
  );
}
