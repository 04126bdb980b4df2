import { useState } from 'react';
import { client } from '../../api/client.ts';
import { changeAccount, useAccount } from '../../api/session.ts';
import { Button, Input, ZoneSelect } from '../../parts/controls.tsx';
import { Box } from '../../parts/states.tsx';
import { tried } from '../../parts/toasts.tsx';
import { t } from '../../text/index.ts';

export function Profile() {
  const { user } = useAccount();
  const [name, setName] = useState(user.name);
  const [timezone, setZone] = useState(user.timezone);
  const save = () =>
    tried(async () => {
      const { data } = await client.PATCH('/api/v1/auth/me', { body: { name, timezone } });
      if (data) changeAccount(data);
    }, t('Saved.'));
  return (
    <Box title={t('Profile')}>
      <form
        className="max-w-md space-y-4"
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <Input label={t('Your name')} required maxLength={100} value={name} onText={setName} />
        <Input label={t('E-mail')} value={user.email} readOnly />
        <ZoneSelect value={timezone} onZone={setZone} />
        <Button type="submit" look="primary">
          {t('Save')}
        </Button>
      </form>
    </Box>
  );
}
