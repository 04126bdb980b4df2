import { useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { api, client } from '../../api/client.ts';
import { useAccount } from '../../api/session.ts';
import { Button, Input } from '../../parts/controls.tsx';
import { Box, Shown } from '../../parts/states.tsx';
import { tried } from '../../parts/toasts.tsx';
import { t } from '../../text/index.ts';
import { ago, momentOf } from '../../time/format.ts';

export function AgentKeys() {
  const { user } = useAccount();
  const queries = useQueryClient();
  const keys = api.useQuery('get', '/api/v1/auth/agent-keys', { params: { query: { limit: 200 } } });
  const [name, setName] = useState('');
  const [made, setMade] = useState<string>();
  const changed = () => queries.invalidateQueries({ queryKey: ['get', '/api/v1/auth/agent-keys'] });
  const make = () =>
    tried(async () => {
      const { data } = await client.POST('/api/v1/auth/agent-keys', { body: { name } });
      setMade(data!.key);
      setName('');
    }).finally(changed);
  const revoke = (id: string) =>
    tried(
      () => client.DELETE('/api/v1/auth/agent-keys/{id}', { params: { path: { id } } }),
      t('The key is revoked.'),
    ).finally(changed);
  return (
    <>
      <Box title={t('A new key')}>
        <form
          className="flex flex-wrap items-end gap-3"
          onSubmit={(event) => {
            event.preventDefault();
            void make();
          }}
        >
          <Input
            label={t('Name of the device')}
            required
            maxLength={100}
            value={name}
            onText={setName}
            className="w-full sm:w-72"
          />
          <Button type="submit" look="primary">
            {t('Make a key')}
          </Button>
          <Link to="/connect" className="py-2 underline">
            {t('Connect your computer')}
          </Link>
        </form>
        {made && (
          <div role="status" className="mt-4">
            <p>{t('Copy it now; it is not shown again.')}</p>
            <code className="mt-1 block rounded border border-line bg-page p-2 font-mono [overflow-wrap:anywhere]">
              {made}
            </code>
          </div>
        )}
      </Box>
      <Box flush title={t('Agent keys')}>
        <Shown
          of={keys}
          isEmpty={({ items }) => items.length === 0}
          empty={<p className="p-4 text-quiet">{t('No agent keys.')}</p>}
        >
          {({ items }) => (
            <table className="table">
              <thead>
                <tr>
                  <th scope="col">{t('Name')}</th>
                  <th scope="col">{t('Device')}</th>
                  <th scope="col">{t('Made')}</th>
                  <th scope="col">{t('Last seen')}</th>
                  <th scope="col">
                    <span className="sr-only">{t('Actions')}</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {items.map((one) => (
                  <tr key={one.id}>
                    <td>{one.name}</td>
                    <td className="font-mono text-sm">{one.deviceId}</td>
                    <td>{momentOf(one.createdAt, user.timezone)}</td>
                    <td>
                      {one.lastUsedAt ? ago(one.lastUsedAt) : t('never')}
                      {one.lastUsedFrom && <div className="text-sm text-quiet">{one.lastUsedFrom}</div>}
                    </td>
                    <td className="number">
                      <Button small look="danger" onPress={() => void revoke(one.id)}>
                        {t('Revoke')}
                      </Button>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
        </Shown>
      </Box>
    </>
  );
}
