import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, client, type Schemas } from '../../api/client.ts';
import { useAccount } from '../../api/session.ts';
import { Button, Select, ZoneSelect } from '../../parts/controls.tsx';
import { Badge, Box, Empty, Failure, Shown } from '../../parts/states.tsx';
import { tried } from '../../parts/toasts.tsx';
import { t } from '../../text/index.ts';
import { bytes, momentOf, number } from '../../time/format.ts';

type Import = Schemas['Import'];
type Kind = Import['kind'];

const kinds: readonly [Kind, string][] = [
  ['activitywatch', 'ActivityWatch (JSON)'],
  ['wakatime', 'WakaTime (JSON)'],
  ['toggl', 'Toggl (CSV)'],
  ['clockify', 'Clockify (CSV)'],
];
const atWork = (status: Import['status']): boolean => ['reading', 'queued', 'running'].includes(status);

export function Imports() {
  const imports = api.useQuery(
    'get',
    '/api/v1/imports',
    { params: { query: { limit: 50 } } },
    { refetchInterval: ({ state }) => (state.data?.items.some(({ status }) => atWork(status)) ? 1_000 : false) },
  );
  return (
    <>
      <NewImport />
      <Shown
        of={imports}
        isEmpty={({ items }) => items.length === 0}
        empty={<Empty title={t('Nothing was imported.')} />}
      >
        {({ items }) => (
          <>
            {items.map((one) => (
              <One key={one.id} of={one} />
            ))}
          </>
        )}
      </Shown>
    </>
  );
}

function useChanged() {
  const queries = useQueryClient();
  return () => queries.invalidateQueries({ queryKey: ['get', '/api/v1/imports'] });
}

function NewImport() {
  const { user } = useAccount();
  const changed = useChanged();
  const [kind, setKind] = useState<Kind>('activitywatch');
  const [timezone, setZone] = useState(user.timezone);
  const [file, setFile] = useState<File>();
  // A field of files is emptied by being another.
  const [round, setRound] = useState(0);
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  // Of the others times are instants.
  const hasZone = kind === 'toggl' || kind === 'clockify';
  const submit = async (): Promise<void> => {
    const form = new FormData();
    form.append('kind', kind);
    if (hasZone) form.append('timezone', timezone);
    form.append('file', file!);
    setBusy(true);
    setError(undefined);
    try {
      await client.POST('/api/v1/imports', { body: {} as never, bodySerializer: () => form });
      setFile(undefined);
      setRound(round + 1);
    } catch (cause) {
      setError(cause);
    } finally {
      setBusy(false);
    }
    await changed();
  };
  return (
    <Box title={t('Bring history along')}>
      <form
        className="grid gap-4 sm:grid-cols-2"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <Select
          label={t('Of which program')}
          options={kinds.map(([value, text]) => ({ value, text }))}
          value={kind}
          onValue={(value) => setKind(value as Kind)}
        />
        {hasZone && <ZoneSelect value={timezone} onZone={setZone} />}
        <label className="sm:col-span-2">
          <span className="mb-1 block text-sm font-medium">{t('File')}</span>
          <input
            type="file"
            required
            key={round}
            className="field"
            onChange={(event) => event.target.files?.[0] && setFile(event.target.files[0])}
          />
        </label>
        {error !== undefined && (
          <div className="sm:col-span-2">
            <Failure error={error} />
          </div>
        )}
        <div>
          <Button type="submit" look="primary" isDisabled={isBusy || file === undefined}>
            {isBusy ? t('Being sent …') : t('Look at it')}
          </Button>
        </div>
      </form>
    </Box>
  );
}

/** What it would bring is shown first; nothing is taken before somebody says so, and all of it goes again as a whole. */
function One({ of }: { of: Import }) {
  const { user } = useAccount();
  const changed = useChanged();
  const params = { path: { id: of.id } };
  const states = {
    reading: t('Being read'),
    ready: t('To be looked at'),
    queued: t('Waiting'),
    running: t('Being imported'),
    done: t('Done'),
    failed: t('Failed'),
  };
  const { preview, failure } = of;
  return (
    <Box
      title={of.fileName ?? of.kind}
      actions={
        <Badge tone={of.status === 'done' ? 'good' : of.status === 'failed' ? 'bad' : 'plain'}>
          {states[of.status]}
        </Badge>
      }
    >
      <p className="text-sm text-quiet">
        {kinds.find(([kind]) => kind === of.kind)?.[1]} · {bytes(of.bytes)} · {momentOf(of.createdAt, user.timezone)}
      </p>
      {atWork(of.status) && (
        <progress value={of.progress} max={1} aria-label={states[of.status]} className="mt-2 w-full" />
      )}
      {failure && <p className="text-bad">{failure.message}</p>}
      {preview && (
        <div className="mt-2 space-y-1">
          <p>
            {t('{n} of {all} rows can be imported.', { n: number(preview.usable), all: number(preview.rows) })}
            {preview.from && preview.to
              ? ` ${momentOf(preview.from, user.timezone)} – ${momentOf(preview.to, user.timezone)}`
              : ''}
          </p>
          <ul className="list-inside list-disc text-sm">
            {preview.people.map((one) => (
              <li key={`${one.email} ${one.name}`}>
                {one.name ?? one.email ?? '–'}: {t('{n} rows', { n: number(one.rows) })}
                {one.userId === null && <span className="text-warn"> ({t('nobody here')})</span>}
              </li>
            ))}
            {preview.problems.map((one) => (
              <li key={one.code} className="text-warn">
                {one.code}: {t('{n} rows', { n: number(one.count) })} · {one.message}
              </li>
            ))}
          </ul>
        </div>
      )}
      <div className="mt-3 flex gap-2">
        {of.status === 'ready' && (
          <Button
            small
            look="primary"
            onPress={() => void tried(() => client.POST('/api/v1/imports/{id}/start', { params })).finally(changed)}
          >
            {t('Import')}
          </Button>
        )}
        <Button
          small
          look="danger"
          onPress={() =>
            void tried(() => client.DELETE('/api/v1/imports/{id}', { params }), t('It is taken out.')).finally(changed)
          }
        >
          {of.status === 'done' ? t('Take all of it out again') : t('Remove')}
        </Button>
      </div>
    </Box>
  );
}
