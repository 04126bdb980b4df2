import { useQueryClient } from '@tanstack/react-query';
import { api, client } from '../../api/client.ts';
import { Check } from '../../parts/controls.tsx';
import { Box, Shown } from '../../parts/states.tsx';
import { tried } from '../../parts/toasts.tsx';
import { t } from '../../text/index.ts';

export function Notifications() {
  const queries = useQueryClient();
  const settings = api.useQuery('get', '/api/v1/notifications/settings');
  const set = (digest: 'off' | 'daily') =>
    tried(() => client.PUT('/api/v1/notifications/settings', { body: { digest } }), t('Saved.')).finally(() =>
      queries.invalidateQueries({ queryKey: ['get', '/api/v1/notifications/settings'] }),
    );
  return (
    <Box title={t('Notifications')}>
      <Shown of={settings}>
        {({ digest }) => (
          <Check
            label={t('A mail each morning of what is new and not read')}
            checked={digest === 'daily'}
            onChange={(event) => void set(event.target.checked ? 'daily' : 'off')}
          />
        )}
      </Shown>
    </Box>
  );
}
