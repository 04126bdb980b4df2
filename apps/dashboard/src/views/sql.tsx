import { type KeyboardEvent, useState } from 'react';
import { api, client } from '../api/client.ts';
import { useAccount } from '../api/session.ts';
import { Area, Button } from '../parts/controls.tsx';
import { isManager } from '../parts/people.tsx';
import { Box, Failure, Forbidden, Page, Shown } from '../parts/states.tsx';
import { t } from '../text/index.ts';
import { number } from '../time/format.ts';

interface Result {
  columns: { name: string; type: string }[];
  rows: unknown[][];
  rowCount: number;
  truncated: boolean;
  elapsedMs: number;
}

export function Sql() {
  const { user } = useAccount();
  return <Page title="SQL">{isManager(user.role) ? <Editor /> : <Forbidden />}</Page>;
}

const shownRows = 1_000;

function Editor() {
  const schema = api.useQuery('get', '/api/v1/analytics/schema', {}, { staleTime: Number.POSITIVE_INFINITY });
  const [sql, setSql] = useState('');
  const [result, setResult] = useState<Result>();
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const text = sql || (schema.data?.examples[0]?.sql ?? '');

  const run = async (): Promise<void> => {
    setBusy(true);
    setError(undefined);
    try {
      const { data } = await client.POST('/api/v1/analytics/query', { body: { sql: text, format: 'json' } });
      setResult(data as Result);
    } catch (cause) {
      setError(cause);
    } finally {
      setBusy(false);
    }
  };
  const download = async (): Promise<void> => {
    setError(undefined);
    try {
      const { data } = await client.POST('/api/v1/analytics/query', {
        body: { sql: text, format: 'csv' },
        parseAs: 'blob',
      });
      const url = URL.createObjectURL(data as unknown as Blob);
      const link = document.createElement('a');
      link.href = url;
      link.download = 'worktide.csv';
      link.click();
      URL.revokeObjectURL(url);
    } catch (cause) {
      setError(cause);
    }
  };
  const byKey = (event: KeyboardEvent): void => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      void run();
    }
  };
  return (
    <div className="grid gap-5 lg:grid-cols-[minmax(0,1fr)_20rem]">
      <div className="min-w-0 space-y-4">
        <Area
          label={t('One SELECT over the views')}
          help={t('Ctrl and Enter run it.')}
          rows={9}
          spellCheck={false}
          value={text}
          onText={setSql}
          onKeyDown={byKey}
          style={{ fontFamily: 'var(--font-mono)' }}
        />
        <div className="flex gap-2">
          <Button look="primary" isDisabled={isBusy || text.trim() === ''} onPress={() => void run()}>
            {t('Run')}
          </Button>
          <Button isDisabled={isBusy || text.trim() === ''} onPress={() => void download()}>
            {t('Download as CSV')}
          </Button>
        </div>
        <div role="status">{isBusy && t('Running …')}</div>
        {error !== undefined && <Failure error={error} />}
        {result && (
          <Box
            flush
            title={t('{n} rows in {ms} ms', { n: number(result.rowCount), ms: number(result.elapsedMs) })}
            actions={result.truncated && <span className="text-warn">{t('There are more; ask for fewer.')}</span>}
          >
            <table className="table">
              <thead>
                <tr>
                  {result.columns.map(({ name, type }) => (
                    <th key={name} scope="col" title={type}>
                      {name}
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {result.rows.slice(0, shownRows).map((row, n) => (
                  // biome-ignore lint/suspicious/noArrayIndexKey: rows of an answer have no identity and never move.
                  <tr key={n}>
                    {row.map((value, column) => (
                      <td key={result.columns[column]?.name}>
                        {value === null ? '–' : typeof value === 'object' ? JSON.stringify(value) : String(value)}
                      </td>
                    ))}
                  </tr>
                ))}
              </tbody>
            </table>
          </Box>
        )}
      </div>
      <Box title={t('Views')}>
        <Shown of={schema}>
          {({ views, examples }) => (
            <div className="space-y-2 text-sm">
              {views.map((view) => (
                <details key={view.name}>
                  <summary className="cursor-pointer font-mono font-medium">{view.name}</summary>
                  <p className="my-1 text-quiet">{view.meaning}</p>
                  <dl className="space-y-1 ps-3">
                    {view.columns.map((column) => (
                      <div key={column.name}>
                        <dt className="font-mono">
                          {column.name} <span className="text-quiet">{column.type}</span>
                        </dt>
                        <dd className="text-quiet">{column.meaning}</dd>
                      </div>
                    ))}
                  </dl>
                </details>
              ))}
              <h2 className="pt-3">{t('Examples')}</h2>
              <ul className="space-y-1">
                {examples.map((example) => (
                  <li key={example.title}>
                    <button
                      type="button"
                      className="cursor-pointer text-start underline"
                      onClick={() => setSql(example.sql)}
                    >
                      {example.title}
                    </button>
                  </li>
                ))}
              </ul>
            </div>
          )}
        </Shown>
      </Box>
    </div>
  );
}
