import { useState } from 'react';
import { Button as AriaButton, Menu, MenuItem, MenuTrigger, Popover } from 'react-aria-components';
import { api, client, type Schemas } from '../api/client.ts';
import { t } from '../text/index.ts';
import { number } from '../time/format.ts';
import { Button } from './controls.tsx';
import { tried } from './toasts.tsx';

type Formats = Schemas['Export']['format'];
type WithoutFormat<T> = T extends unknown ? Omit<T, 'format'> : never;
export type ExportOf = WithoutFormat<Schemas['ExportRequest']>;

const formats: readonly [Formats, string][] = [
  ['csv', 'CSV'],
  ['xlsx', 'XLSX (Excel)'],
  ['json', 'JSON'],
  ['parquet', 'Parquet'],
];

/** Has a report written to a file, says how far it is, and gives the link. */
export function ExportButton({ of }: { of: ExportOf }) {
  const [id, setId] = useState<string>();
  const begin = (format: Formats) =>
    tried(async () => {
      const { data } = await client.POST('/api/v1/reports/exports', {
        body: { ...of, format } as Schemas['ExportRequest'],
      });
      setId(data!.exportId);
    });
  return (
    <>
      {id && <Progress id={id} />}
      <MenuTrigger>
        <AriaButton className="inline-flex min-h-10 cursor-pointer items-center gap-2 rounded-lg border border-line bg-surface px-4 font-medium data-[hovered]:bg-tint">
          {t('Export')} <span aria-hidden="true">▾</span>
        </AriaButton>
        <Popover placement="bottom end" className="box z-30 w-48 bg-raised p-1 shadow-xl">
          <Menu aria-label={t('Export')} className="outline-none" onAction={(key) => void begin(key as Formats)}>
            {formats.map(([format, name]) => (
              <MenuItem
                key={format}
                id={format}
                className="flex min-h-9 cursor-pointer items-center rounded-md px-3 outline-none data-[focused]:bg-tint"
              >
                {name}
              </MenuItem>
            ))}
          </Menu>
        </Popover>
      </MenuTrigger>
      <Button onPress={() => window.print()}>{t('Print')}</Button>
    </>
  );
}

export function Progress({ id }: { id: string }) {
  const { data } = api.useQuery(
    'get',
    '/api/v1/reports/exports/{id}',
    { params: { path: { id } } },
    { refetchInterval: ({ state }) => (['queued', 'running'].includes(state.data?.status ?? 'queued') ? 700 : false) },
  );
  if (!data) return null;
  if (data.status === 'ready') {
    return (
      <a href={data.url} download={data.fileName} className="font-medium text-accent underline">
        {t('Download {name}', { name: data.fileName })}
      </a>
    );
  }
  if (data.status === 'failed') return <span className="text-bad">{data.failure?.message}</span>;
  if (data.status === 'cancelled') return <span>{t('Cancelled')}</span>;
  return (
    <span className="flex items-center gap-2 text-sm">
      <progress value={data.progress} max={1} aria-label={t('Export')} className="w-24 accent-[var(--accent)]" />
      {t('{n} rows', { n: number(data.rows) })}
    </span>
  );
}
