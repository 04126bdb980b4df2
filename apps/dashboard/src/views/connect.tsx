import { Link } from '@tanstack/react-router';
import { useRef, useState } from 'react';
import { api, client } from '../api/client.ts';
import { usePresences } from '../api/live.ts';
import { useAccount } from '../api/session.ts';
import { Button, Choice } from '../parts/controls.tsx';
import { copyText, newId } from '../parts/plain-http.ts';
import { Box, Failure, Page } from '../parts/states.tsx';
import { t } from '../text/index.ts';

type Kind = 'try' | 'activitywatch' | 'wakatime';

/** What a person pastes into a terminal; each line is whole by itself. */
function lineOf(kind: Kind, key: string): string {
  const { origin } = location;
  if (kind === 'activitywatch') {
    // Not as an argument, which other users of the machine see.
    return `WORKTIDE_KEY=${key} npm run bridge -- --url ${origin}`;
  }
  if (kind === 'wakatime') {
    return `printf '[settings]\\napi_url = ${origin}/api/v1\\napi_key = ${key}\\n' >> ~/.wakatime.cfg`;
  }
  const id = newId();
  return (
    `curl -sS ${origin}/api/v1/pings -H 'authorization: Bearer ${key}' -H 'content-type: application/json' ` +
    `-d "{\\"id\\":\\"${id}\\",\\"app\\":\\"Terminal\\",\\"startedAt\\":\\"$(date -u +%Y-%m-%dT%H:%M:%SZ)\\",` +
    `\\"endedAt\\":\\"$(date -u +%Y-%m-%dT%H:%M:%SZ)\\"}"`
  );
}

/** A key, one line to copy, and the moment when the first activity arrives. */
export function Connect() {
  const { user } = useAccount();
  const [key, setKey] = useState<string>();
  const [error, setError] = useState<unknown>();
  const [kind, setKind] = useState<Kind>('try');
  const code = useRef<HTMLElement>(null);
  const [isCopied, setCopied] = useState(false);
  const presences = usePresences();
  // By socket; the list is for who comes to this page later.
  const list = api.useQuery('get', '/api/v1/presence', { params: { query: { userId: user.id } } });
  const seen = presences.get(user.id)?.lastSeenAt ?? list.data?.items[0]?.lastSeenAt ?? null;
  const [started] = useState(Date.now);
  const isNew = seen !== null && Date.parse(seen) > started - 60_000;

  const make = async (): Promise<void> => {
    setError(undefined);
    try {
      const { data } = await client.POST('/api/v1/auth/agent-keys', { body: { name: t('My computer') } });
      setKey(data!.key);
    } catch (cause) {
      setError(cause);
    }
  };
  const line = key && lineOf(kind, key);
  return (
    <Page title={t('Connect your computer')}>
      <Box title={t('1. A key for your agent')}>
        {key === undefined ? (
          <div className="space-y-3">
            <p>
              {t(
                'An agent tells Worktide which app you have in front of you. It needs a key of yours, which is shown once.',
              )}
            </p>
            <Button look="primary" onPress={() => void make()}>
              {t('Make a key')}
            </Button>
          </div>
        ) : (
          <p>{t('The key is in the line below. It is shown only now.')}</p>
        )}
        {error !== undefined && <Failure error={error} onRetry={() => void make()} />}
      </Box>
      {line !== undefined && (
        <Box title={t('2. Copy one line')}>
          <div className="space-y-3">
            <Choice<Kind>
              label={t('Agent')}
              value={kind}
              options={[
                { value: 'try', text: t('Just try it') },
                { value: 'activitywatch', text: 'ActivityWatch' },
                { value: 'wakatime', text: 'WakaTime' },
              ]}
              onValue={(next) => {
                setKind(next);
                setCopied(false);
              }}
            />
            <pre className="overflow-x-auto rounded-lg border border-line bg-page p-3 font-mono text-sm whitespace-pre-wrap [overflow-wrap:anywhere]">
              <code ref={code} data-testid="agent-line">
                {line}
              </code>
            </pre>
            <Button look="primary" onPress={() => code.current && void copyText(code.current).then(setCopied)}>
              {isCopied ? t('Copied') : t('Copy')}
            </Button>
            {kind === 'activitywatch' && (
              <p className="text-quiet">{t('Run it where ActivityWatch runs, in a folder with Worktide.')}</p>
            )}
            {kind === 'wakatime' && (
              <p className="text-quiet">{t('Your editors with the WakaTime plugin send to Worktide then.')}</p>
            )}
          </div>
        </Box>
      )}
      <Box title={t('3. First activity')}>
        <div role="status">
          {isNew ? (
            <div className="space-y-3">
              <p className="text-lg font-semibold text-good">✓ {t('First activity received')}</p>
              <Link to="/" className="inline-block underline">
                {t('See your day')}
              </Link>
            </div>
          ) : (
            <p className="text-quiet">{t('Waiting for the first activity. It appears here by itself.')}</p>
          )}
        </div>
      </Box>
    </Page>
  );
}
