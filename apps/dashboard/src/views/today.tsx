import { Link } from '@tanstack/react-router';
import { api } from '../api/client.ts';
import { useAccount } from '../api/session.ts';
import { DayView } from '../parts/day.tsx';
import { Empty, Page } from '../parts/states.tsx';
import { useNow } from '../parts/timer.tsx';
import { t } from '../text/index.ts';
import { dayOf } from '../time/format.ts';
import { dateOf } from '../time/zones.ts';

export function Today() {
  const { user } = useAccount();
  const date = dateOf(useNow(30_000), user.timezone);
  const { data: keys } = api.useQuery('get', '/api/v1/auth/agent-keys', { params: { query: { limit: 1 } } });
  return (
    <Page title={t('Today')} actions={<span className="text-quiet">{dayOf(date)}</span>} wide>
      {keys?.items.length === 0 && (
        <Empty title={t('No agent sends anything yet.')}>
          <Link to="/connect" className="underline">
            {t('Connect your computer')}
          </Link>
        </Empty>
      )}
      <DayView date={date} zone={user.timezone} userId={user.id} />
    </Page>
  );
}
