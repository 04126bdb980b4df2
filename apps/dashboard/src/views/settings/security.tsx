import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, client } from '../../api/client.ts';
import { leave, useAccount } from '../../api/session.ts';
import { Button, Input } from '../../parts/controls.tsx';
import { Badge, Box, Failure, Shown } from '../../parts/states.tsx';
import { say, tried } from '../../parts/toasts.tsx';
import { t } from '../../text/index.ts';
import { ago, momentOf } from '../../time/format.ts';

export function Security() {
  return (
    <>
      <Password />
      <Sessions />
    </>
  );
}

function Password() {
  const { user } = useAccount();
  const [currentPassword, setCurrent] = useState('');
  const [newPassword, setNew] = useState('');
  const [error, setError] = useState<unknown>();
  const submit = async (): Promise<void> => {
    setError(undefined);
    try {
      await client.POST('/api/v1/auth/password/change', { body: { currentPassword, newPassword } });
      setCurrent('');
      setNew('');
      say(t('The password is changed.'));
    } catch (cause) {
      setError(cause);
    }
  };
  return (
    <Box title={t('Password')}>
      <form
        className="max-w-md space-y-4"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <input type="hidden" autoComplete="username" value={user.email} readOnly />
        <Input
          label={t('Present password')}
          type="password"
          autoComplete="current-password"
          required
          value={currentPassword}
          onText={setCurrent}
        />
        <Input
          label={t('New password')}
          type="password"
          autoComplete="new-password"
          required
          value={newPassword}
          onText={setNew}
        />
        {error !== undefined && <Failure error={error} />}
        <Button type="submit" look="primary">
          {t('Change the password')}
        </Button>
      </form>
    </Box>
  );
}

function Sessions() {
  const { user } = useAccount();
  const queries = useQueryClient();
  const sessions = api.useQuery('get', '/api/v1/auth/sessions', { params: { query: { limit: 100 } } });
  const end = (id: string) =>
    tried(
      () => client.DELETE('/api/v1/auth/sessions/{id}', { params: { path: { id } } }),
      t('The session is ended.'),
    ).finally(() => queries.invalidateQueries({ queryKey: ['get', '/api/v1/auth/sessions'] }));
  const endAll = async (): Promise<void> => {
    if (await tried(() => client.POST('/api/v1/auth/logout-all'))) leave();
  };
  return (
    <Box
      flush
      title={t('Sessions')}
      actions={
        <Button small look="danger" onPress={() => void endAll()}>
          {t('Log out everywhere')}
        </Button>
      }
    >
      <Shown of={sessions}>
        {({ items }) => (
          <table className="table">
            <thead>
              <tr>
                <th scope="col">{t('Device')}</th>
                <th scope="col">{t('Address')}</th>
                <th scope="col">{t('Since')}</th>
                <th scope="col">{t('Last used')}</th>
                <th scope="col">
                  <span className="sr-only">{t('Actions')}</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {items.map((one) => (
                <tr key={one.id}>
                  <td>
                    {one.deviceName ?? one.userAgent ?? '–'}{' '}
                    {one.current && <Badge tone="accent">{t('this one')}</Badge>}
                  </td>
                  <td>{one.ipAddress ?? '–'}</td>
                  <td>{momentOf(one.createdAt, user.timezone)}</td>
                  <td>{ago(one.lastUsedAt)}</td>
                  <td className="number">
                    {!one.current && (
                      <Button small onPress={() => void end(one.id)}>
                        {t('Log out')}
                      </Button>
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </Shown>
    </Box>
  );
}
