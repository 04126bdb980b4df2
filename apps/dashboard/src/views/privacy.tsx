import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { api, client, type Schemas } from '../api/client.ts';
import type { operations } from '../api/schema.d.ts';
import { useAccount } from '../api/session.ts';
import { Button, Check, Input, Select } from '../parts/controls.tsx';
import { Badge, Box, Failure, Page, Shown } from '../parts/states.tsx';
import { say, tried } from '../parts/toasts.tsx';
import { type Text, t, translated } from '../text/index.ts';
import { dayOf, duration, momentOf, number } from '../time/format.ts';

type Rules = Schemas['Privacy'];
type Rule = Schemas['PrivacyRule'];
type Hours = NonNullable<Rules['trackingHours']>;
type PutBody = Omit<operations['changePrivacy']['requestBody']['content']['application/json'], 'version'>;
type Day = keyof Hours['days'];

const days: readonly [Day, Text][] = [
  ['mon', 'Monday'],
  ['tue', 'Tuesday'],
  ['wed', 'Wednesday'],
  ['thu', 'Thursday'],
  ['fri', 'Friday'],
  ['sat', 'Saturday'],
  ['sun', 'Sunday'],
];

export function Privacy() {
  const { user } = useAccount();
  const mine = api.useQuery('get', '/api/v1/privacy/me');
  const queries = useQueryClient();
  const changed = () => queries.invalidateQueries({ queryKey: ['get', '/api/v1/privacy/me'] });
  const pause = (hours: number) =>
    tried(() =>
      client.PUT('/api/v1/users/me/pause', { body: { until: new Date(Date.now() + hours * 3_600_000).toISOString() } }),
    ).finally(changed);
  const resume = () => tried(() => client.DELETE('/api/v1/users/me/pause')).finally(changed);
  const collected: Record<'yes' | 'in-part' | 'no', string> = { yes: t('Yes'), 'in-part': t('In part'), no: t('No') };
  return (
    <Page title={t('Privacy')}>
      <Shown of={mine}>
        {({ collected: kinds, pausedUntil }) => (
          <>
            <Box title={t('Pause')}>
              {pausedUntil !== null && Date.parse(pausedUntil) > Date.now() ? (
                <div className="flex flex-wrap items-center justify-between gap-3">
                  <p role="status">
                    {t('Nothing is recorded of you until {time}.', { time: momentOf(pausedUntil, user.timezone) })}
                  </p>
                  <Button look="primary" onPress={() => void resume()}>
                    {t('End the pause')}
                  </Button>
                </div>
              ) : (
                <div className="space-y-3">
                  <p>
                    {t('While you pause, what your devices send is kept nowhere. Timers and entries of yours go on.')}
                  </p>
                  <div className="flex flex-wrap gap-2">
                    {[1, 4, 24].map((hours) => (
                      <Button key={hours} onPress={() => void pause(hours)}>
                        {t('{n, plural, one {# hour} other {# hours}}', { n: hours })}
                      </Button>
                    ))}
                  </div>
                </div>
              )}
            </Box>
            <Box flush title={t('What is collected of me')}>
              <table className="table">
                <thead>
                  <tr>
                    <th scope="col">{t('What')}</th>
                    <th scope="col">{t('Collected')}</th>
                    <th scope="col">{t('Kept for')}</th>
                    <th scope="col">{t('Seen by')}</th>
                  </tr>
                </thead>
                <tbody>
                  {kinds.map((kind) => (
                    <tr key={kind.kind}>
                      <td>
                        {translated(kind.what)}
                        {kind.rules.map((rule) => (
                          <div key={rule} className="text-sm text-quiet">
                            {translated(rule)}
                          </div>
                        ))}
                      </td>
                      <td>
                        <Badge tone={kind.collected === 'no' ? 'good' : 'plain'}>{collected[kind.collected]}</Badge>
                      </td>
                      <td>{translated(kind.keptFor)}</td>
                      <td>{kind.seenBy.map(translated).join(', ')}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </Box>
          </>
        )}
      </Shown>
      {user.role === 'admin' && <Admin />}
    </Page>
  );
}

function Admin() {
  const rules = api.useQuery('get', '/api/v1/organization/privacy');
  return <Shown of={rules}>{(present) => <Editor key={present.version} present={present as Rules} />}</Shown>;
}

const names = (text: string): string[] =>
  text
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');

/** A range a day; who needs several, or over midnight, has the interface (docs/privacy.md). */
function hoursOf(hours: Rules['trackingHours']): Record<Day, [string, string] | undefined> {
  return Object.fromEntries(days.map(([day]) => [day, hours?.days[day]?.[0] as [string, string] | undefined])) as never;
}

function Editor({ present }: { present: Rules }) {
  const queries = useQueryClient();
  const [rules, setRules] = useState<(Rule & { key: number })[]>(present.rules.map((rule, key) => ({ ...rule, key })));
  const [titles, setTitles] = useState(present.titles);
  const [urls, setUrls] = useState(present.urls);
  const [blur, setBlur] = useState(String(present.minimumBlurLevel));
  const [hasHours, setHasHours] = useState(present.trackingHours !== null);
  const [hours, setHours] = useState(hoursOf(present.trackingHours));
  const [preview, setPreview] = useState<Schemas['PrivacyPreview']>();
  const [error, setError] = useState<unknown>();
  const several = Object.values(present.trackingHours?.days ?? {}).some((ranges) => (ranges?.length ?? 0) > 1);

  const body = () =>
    ({
      rules: rules.map(({ id, kind, apps, hosts }) => ({
        ...(id ? { id } : {}),
        kind,
        ...(apps?.length ? { apps } : {}),
        ...(hosts?.length ? { hosts } : {}),
      })),
      titles,
      urls,
      minimumBlurLevel: Number(blur),
      trackingHours: !hasHours
        ? null
        : several
          ? present.trackingHours
          : {
              timezone: present.trackingHours?.timezone ?? 'user',
              days: Object.fromEntries(
                Object.entries(hours).flatMap(([day, range]) => (range ? [[day, [range]]] : [])),
              ),
            },
      // An answer's ranges are lists to the document, a request's are pairs.
    }) as PutBody;
  const look = async (): Promise<void> => {
    setError(undefined);
    try {
      const { minimumBlurLevel, ...privacy } = body();
      setPreview((await client.POST('/api/v1/privacy/preview', { body: { privacy } })).data);
    } catch (cause) {
      setError(cause);
    }
  };
  const save = async (): Promise<void> => {
    setError(undefined);
    try {
      await client.PUT('/api/v1/organization/privacy', { body: { ...body(), version: present.version } });
      say(t('The rules hold from now on.'));
    } catch (cause) {
      setError(cause);
    }
    await queries.invalidateQueries({ predicate: ({ queryKey }) => String(queryKey[1]).includes('privacy') });
  };
  const change = (key: number, part: Partial<Rule>): void =>
    setRules(rules.map((rule) => (rule.key === key ? { ...rule, ...part } : rule)));
  const kinds = [
    { value: 'drop', text: t('Record nothing') },
    { value: 'redact-title', text: t('Without the title') },
    { value: 'host-only', text: t('Only the site of addresses') },
  ];
  return (
    <Box title={t('Rules of the organisation')}>
      <form
        className="space-y-5"
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <ul className="space-y-4">
          {rules.map((rule) => (
            <li
              key={rule.key}
              className="grid items-end gap-3 border-b border-line pb-4 md:grid-cols-[12rem_1fr_1fr_auto]"
            >
              <Select
                label={t('Rule')}
                options={kinds}
                value={rule.kind}
                onValue={(kind) => change(rule.key, { kind: kind as Rule['kind'] })}
              />
              <Input
                label={t('Apps, with commas between')}
                defaultValue={rule.apps?.join(', ') ?? ''}
                placeholder="KeePass*"
                onText={(text) => change(rule.key, { apps: names(text) })}
              />
              <Input
                label={t('Sites, with commas between')}
                defaultValue={rule.hosts?.join(', ') ?? ''}
                placeholder="*.clinic.example"
                onText={(text) => change(rule.key, { hosts: names(text) })}
              />
              <Button
                aria-label={t('Remove the rule')}
                onPress={() => setRules(rules.filter(({ key }) => key !== rule.key))}
              >
                ✕
              </Button>
            </li>
          ))}
        </ul>
        <Button onPress={() => setRules([...rules, { key: Date.now(), id: '', kind: 'drop' }])}>
          {t('Add a rule')}
        </Button>
        <div className="grid gap-4 md:grid-cols-3">
          <Select
            label={t('Titles')}
            options={[
              { value: 'keep', text: t('Record') },
              { value: 'never', text: t('Never record') },
            ]}
            value={titles}
            onValue={(value) => setTitles(value as Rules['titles'])}
          />
          <Select
            label={t('Addresses')}
            options={[
              { value: 'keep', text: t('Record') },
              { value: 'host', text: t('Only the site') },
            ]}
            value={urls}
            onValue={(value) => setUrls(value as Rules['urls'])}
          />
          <Select
            label={t('Least blur of screenshots')}
            options={['0', '1', '2', '3'].map((value) => ({ value, text: value }))}
            value={blur}
            onValue={setBlur}
          />
        </div>
        <Check
          label={t('Record only within hours')}
          checked={hasHours}
          onChange={(event) => setHasHours(event.target.checked)}
        />
        {hasHours && several && (
          <p className="text-quiet">{t('These hours have several ranges a day; the interface changes them.')}</p>
        )}
        {hasHours && !several && (
          <div className="grid gap-2 sm:grid-cols-2">
            {days.map(([day, text]) => (
              <fieldset key={day} className="flex flex-wrap items-center gap-2">
                <legend className="sr-only">{t(text)}</legend>
                <div className="w-36">
                  <Check
                    label={t(text)}
                    checked={hours[day] !== undefined}
                    onChange={(event) =>
                      setHours({ ...hours, [day]: event.target.checked ? ['09:00', '17:00'] : undefined })
                    }
                  />
                </div>
                {hours[day] &&
                  ([0, 1] as const).map((edge) => (
                    <input
                      key={edge}
                      type="time"
                      aria-label={`${t(text)}: ${edge === 0 ? t('Begin') : t('End')}`}
                      className="min-h-9 rounded-md border border-line px-2"
                      value={hours[day]![edge]}
                      onChange={(event) => {
                        const range: [string, string] = [...hours[day]!];
                        range[edge] = event.target.value;
                        setHours({ ...hours, [day]: range });
                      }}
                    />
                  ))}
              </fieldset>
            ))}
          </div>
        )}
        {error !== undefined && <Failure error={error} />}
        <div className="flex gap-2">
          <Button type="submit" look="primary">
            {t('Save')}
          </Button>
          <Button onPress={() => void look()}>{t('Preview')}</Button>
        </div>
        {preview && (
          <div role="status" className="rounded-lg border border-line p-4">
            <p className="font-medium">
              {t('What these rules would have taken of {day}', { day: dayOf(preview.date) })}
            </p>
            <ul className="mt-2 list-inside list-disc">
              <li>
                {t('{n} of {all} pings, {time}', {
                  n: number(preview.dropped.pings),
                  all: number(preview.pings),
                  time: duration(preview.dropped.seconds),
                })}
              </li>
              <li>
                {t('{n} outside the hours, {time}', {
                  n: number(preview.outsideHours.pings),
                  time: duration(preview.outsideHours.seconds),
                })}
              </li>
              <li>{t('{n} titles, {m} addresses', { n: number(preview.titles), m: number(preview.urls) })}</li>
            </ul>
          </div>
        )}
      </form>
    </Box>
  );
}
