import { useState } from 'react';
import { api, client, type Schemas } from '../../api/client.ts';
import { changeAccount, useAccount } from '../../api/session.ts';
import { Button, Check, Input, Select, ZoneSelect } from '../../parts/controls.tsx';
import { Badge, Box, Failure, Forbidden, Shown, Stat } from '../../parts/states.tsx';
import { say, tried } from '../../parts/toasts.tsx';
import { t } from '../../text/index.ts';
import { bytes, momentOf } from '../../time/format.ts';

type Settings = Schemas['OrganizationSettings'];

export function OrganizationSettings() {
  const { user } = useAccount();
  return user.role === 'admin' ? (
    <>
      <Form />
      <Storage />
      <Deletion />
    </>
  ) : (
    <Forbidden />
  );
}

function Form() {
  const { organization } = useAccount();
  const [name, setName] = useState(organization.name);
  const [timezone, setZone] = useState(organization.timezone);
  const [form, setForm] = useState<Settings>(organization.settings);
  const [error, setError] = useState<unknown>();
  const set = (change: Partial<Settings>) => setForm({ ...form, ...change });
  const count = (
    key: 'idleAfterSeconds' | 'idleAlertAfterSeconds' | 'screenshotRetentionDays',
    label: string,
    unit: number,
  ) => (
    <Input
      label={label}
      type="number"
      min={1}
      step="any"
      required
      value={form[key] / unit}
      onText={(text) => set({ [key]: Math.round(Number(text) * unit) })}
    />
  );
  const save = async (): Promise<void> => {
    setError(undefined);
    try {
      const { minimumBlurLevel, ...settings } = form;
      const { data } = await client.PATCH('/api/v1/organization', { body: { name, timezone, settings } });
      if (data) changeAccount({ organization: data });
      say(t('Saved.'));
    } catch (cause) {
      setError(cause);
    }
  };
  return (
    <Box title={t('Organisation')} actions={<Badge>{organization.subscriptionStatus}</Badge>}>
      <form
        className="grid gap-4 sm:grid-cols-2"
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <Input label={t('Name')} required maxLength={100} value={name} onText={setName} />
        <ZoneSelect value={timezone} onZone={setZone} />
        {count('idleAfterSeconds', t('Idle after (minutes)'), 60)}
        {count('idleAlertAfterSeconds', t('Alert of an idle timer after (minutes)'), 60)}
        <Input
          label={t('Long day after (hours)')}
          type="number"
          min={0.5}
          step="any"
          required
          value={form.overtimeAfterSeconds / 3_600}
          onText={(text) => set({ overtimeAfterSeconds: Math.round(Number(text) * 3_600) })}
        />
        <Select
          label={t('Week begins on')}
          options={[
            { value: 'monday', text: t('Monday') },
            { value: 'saturday', text: t('Saturday') },
            { value: 'sunday', text: t('Sunday') },
          ]}
          value={form.weekStart}
          onValue={(weekStart) => set({ weekStart: weekStart as Settings['weekStart'] })}
        />
        <Select
          label={t('Offline entries that meet others')}
          options={[
            { value: 'reject', text: t('are refused') },
            { value: 'merge', text: t('become one') },
          ]}
          value={form.overlapPolicy}
          onValue={(overlapPolicy) => set({ overlapPolicy: overlapPolicy as Settings['overlapPolicy'] })}
        />
        <Select
          label={t('Employees see')}
          options={[
            { value: 'organization', text: t('all tasks') },
            { value: 'own', text: t('their own tasks') },
          ]}
          value={form.taskVisibility}
          onValue={(taskVisibility) => set({ taskVisibility: taskVisibility as Settings['taskVisibility'] })}
        />
        {count('screenshotRetentionDays', t('Keep screenshots (days)'), 1)}
        <Input
          label={t('Keep time entries (days)')}
          help={t('Empty: for ever')}
          type="number"
          min={1}
          value={form.timeEntryRetentionDays ?? ''}
          onText={(text) => set({ timeEntryRetentionDays: text ? Number(text) : null })}
        />
        <div className="sm:col-span-2">
          <Check
            label={t('Managers see which app is in front')}
            checked={form.showCurrentApp}
            onChange={(event) => set({ showCurrentApp: event.target.checked })}
          />
        </div>
        {error !== undefined && (
          <div className="sm:col-span-2">
            <Failure error={error} />
          </div>
        )}
        <div>
          <Button type="submit" look="primary">
            {t('Save')}
          </Button>
        </div>
      </form>
    </Box>
  );
}

function Storage() {
  const storage = api.useQuery('get', '/api/v1/organization/storage');
  const of = ({ bytes: used, limitBytes }: { bytes: number; limitBytes: number | null }): string =>
    limitBytes === null ? bytes(used) : `${bytes(used)} / ${bytes(limitBytes)}`;
  return (
    <Shown of={storage}>
      {({ screenshots, pings }) => (
        <div className="grid gap-3 sm:grid-cols-2">
          <Stat label={t('Screenshots')} value={of(screenshots)} />
          <Stat label={t('Pings')} value={of(pings)} />
        </div>
      )}
    </Shown>
  );
}

function Deletion() {
  const { user, organization } = useAccount();
  const [password, setPassword] = useState('');
  const ask = () =>
    tried(async () => {
      const { data } = await client.POST('/api/v1/organization/deletion', { body: { password } });
      if (data) changeAccount({ organization: data });
      setPassword('');
    });
  const takeBack = () =>
    tried(async () => {
      await client.DELETE('/api/v1/organization/deletion');
      changeAccount({ organization: { ...organization, deletionAt: null } });
    });
  return (
    <Box title={t('Delete the organisation')}>
      {organization.deletionAt ? (
        <div className="flex flex-wrap items-center justify-between gap-3">
          <p className="text-bad">
            {t('All of it is deleted for good at {time}.', { time: momentOf(organization.deletionAt, user.timezone) })}
          </p>
          <Button look="primary" onPress={() => void takeBack()}>
            {t('Take back')}
          </Button>
        </div>
      ) : (
        <form
          className="flex flex-wrap items-end gap-3"
          onSubmit={(event) => {
            event.preventDefault();
            void ask();
          }}
        >
          <p className="w-full">
            {t('In seven days everything that is stored of it is deleted, for good. Until then it can be taken back.')}
          </p>
          <Input
            label={t('Your password')}
            type="password"
            autoComplete="current-password"
            required
            value={password}
            onText={setPassword}
          />
          <Button type="submit" look="danger">
            {t('Delete the organisation')}
          </Button>
        </form>
      )}
    </Box>
  );
}
