import { useQueryClient } from '@tanstack/react-query';
import { useParams } from '@tanstack/react-router';
import { useState } from 'react';
import { api, client, type Schemas } from '../../api/client.ts';
import { useAccount } from '../../api/session.ts';
import { Button, Check, Input } from '../../parts/controls.tsx';
import { Badge, Box, Empty, Failure, Forbidden, Shown } from '../../parts/states.tsx';
import { tried } from '../../parts/toasts.tsx';
import { t } from '../../text/index.ts';
import { momentOf, number } from '../../time/format.ts';

type Webhook = Schemas['Webhook'];
type Event = Webhook['events'][number];

const events: readonly Event[] = [
  'time-entry.created',
  'time-entry.updated',
  'time-entry.deleted',
  'day.finished',
  'alert.opened',
  'alert.resolved',
  'task.created',
  'task.updated',
  'task.assigned',
  'task.deleted',
  'project.created',
  'project.updated',
  'project.deleted',
  'team.created',
  'team.updated',
  'team.deleted',
  'person.updated',
  'person.deleted',
  'invitation.accepted',
  'screenshot.ready',
  'screenshot.failed',
  'export.ready',
  'export.failed',
];

export function Webhooks() {
  const { user } = useAccount();
  return user.role === 'admin' ? <List /> : <Forbidden />;
}

function useChanged() {
  const queries = useQueryClient();
  return () =>
    queries.invalidateQueries({ predicate: ({ queryKey }) => String(queryKey[1]).startsWith('/api/v1/webhooks') });
}

function List() {
  const { id: chosen } = useParams({ strict: false });
  const webhooks = api.useQuery('get', '/api/v1/webhooks', { params: { query: { limit: 100 } } });
  return (
    <>
      <NewWebhook />
      <Shown of={webhooks} isEmpty={({ items }) => items.length === 0} empty={<Empty title={t('No webhooks.')} />}>
        {({ items }) => (
          <>
            {items.map((one) => (
              <One key={one.id} webhook={one} isOpen={one.id === chosen} />
            ))}
          </>
        )}
      </Shown>
    </>
  );
}

function NewWebhook() {
  const changed = useChanged();
  const [url, setUrl] = useState('');
  const [chosen, setChosen] = useState<Event[]>(['time-entry.created', 'time-entry.updated']);
  const [secret, setSecret] = useState<string>();
  const [error, setError] = useState<unknown>();
  const submit = async (): Promise<void> => {
    setError(undefined);
    try {
      const { data } = await client.POST('/api/v1/webhooks', { body: { url, events: chosen } });
      setSecret(data!.secret);
      setUrl('');
    } catch (cause) {
      setError(cause);
    }
    await changed();
  };
  return (
    <Box title={t('A new webhook')}>
      <form
        className="space-y-4"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <Input
          label={t('Address')}
          type="url"
          required
          placeholder="https://example.com/hook"
          value={url}
          onText={setUrl}
        />
        <fieldset>
          <legend className="mb-1 text-sm font-medium">{t('Events')}</legend>
          <div className="grid gap-x-4 sm:grid-cols-3">
            {events.map((event) => (
              <Check
                key={event}
                label={event}
                checked={chosen.includes(event)}
                onChange={() =>
                  setChosen(chosen.includes(event) ? chosen.filter((one) => one !== event) : [...chosen, event])
                }
              />
            ))}
          </div>
        </fieldset>
        {error !== undefined && <Failure error={error} />}
        <Button type="submit" look="primary" isDisabled={chosen.length === 0}>
          {t('Add')}
        </Button>
        {secret && (
          <div role="status">
            <p>{t('Its secret, shown only now:')}</p>
            <code className="mt-1 block rounded border border-line bg-page p-2 font-mono [overflow-wrap:anywhere]">
              {secret}
            </code>
          </div>
        )}
      </form>
    </Box>
  );
}

function One({ webhook, isOpen: startsOpen }: { webhook: Webhook; isOpen: boolean }) {
  const changed = useChanged();
  const [isOpen, setOpen] = useState(startsOpen);
  const params = { path: { id: webhook.id } };
  return (
    <Box
      title={webhook.url}
      actions={<Badge tone={webhook.enabled ? 'good' : 'warn'}>{webhook.enabled ? t('On') : t('Off')}</Badge>}
    >
      <p className="text-sm text-quiet">{webhook.events.join(', ')}</p>
      {webhook.waiting > 0 && <p>{t('{n} deliveries wait.', { n: number(webhook.waiting) })}</p>}
      <div className="mt-3 flex flex-wrap gap-2">
        <Button
          small
          onPress={() =>
            void tried(() =>
              client.PATCH('/api/v1/webhooks/{id}', { params, body: { enabled: !webhook.enabled } }),
            ).finally(changed)
          }
        >
          {webhook.enabled ? t('Switch off') : t('Switch on')}
        </Button>
        <Button
          small
          onPress={() =>
            void tried(() => client.POST('/api/v1/webhooks/{id}/test', { params }), t('A test is on its way.')).finally(
              changed,
            )
          }
        >
          {t('Test')}
        </Button>
        <Button small aria-expanded={isOpen} onPress={() => setOpen(!isOpen)}>
          {t('Deliveries')}
        </Button>
        <Button
          small
          look="danger"
          onPress={() => void tried(() => client.DELETE('/api/v1/webhooks/{id}', { params })).finally(changed)}
        >
          {t('Delete')}
        </Button>
      </div>
      {isOpen && <Deliveries id={webhook.id} />}
    </Box>
  );
}

function Deliveries({ id }: { id: string }) {
  const { user } = useAccount();
  const deliveries = api.useQuery(
    'get',
    '/api/v1/webhooks/{id}/deliveries',
    { params: { path: { id }, query: { limit: 50 } } },
    { refetchInterval: 5_000 },
  );
  const states = { waiting: t('Waiting'), delivered: t('Delivered'), failed: t('Failed'), dropped: t('Dropped') };
  return (
    <div className="mt-3 overflow-x-auto">
      <Shown
        of={deliveries}
        isEmpty={({ items }) => items.length === 0}
        empty={<p className="text-quiet">{t('No deliveries.')}</p>}
      >
        {({ items }) => (
          <table className="table">
            <thead>
              <tr>
                <th scope="col">{t('When')}</th>
                <th scope="col">{t('Event')}</th>
                <th scope="col">{t('State')}</th>
                <th scope="col">{t('Last answer')}</th>
              </tr>
            </thead>
            <tbody>
              {items.map((one) => {
                const last = one.tries.at(-1);
                return (
                  <tr key={one.id}>
                    <td>{momentOf(one.createdAt, user.timezone)}</td>
                    <td>{one.event}</td>
                    <td>
                      <Badge tone={one.status === 'delivered' ? 'good' : one.status === 'waiting' ? 'plain' : 'bad'}>
                        {states[one.status]}
                      </Badge>
                    </td>
                    <td>{last ? (last.statusCode ?? last.failure?.message ?? '–') : '–'}</td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        )}
      </Shown>
    </div>
  );
}
