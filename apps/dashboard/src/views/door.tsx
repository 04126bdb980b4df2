import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { type ReactNode, useEffect, useState } from 'react';
import { client } from '../api/client.ts';
import { changeAccount, currentSession, leave, signIn } from '../api/session.ts';
import { Button, Check, Input } from '../parts/controls.tsx';
import { Failure } from '../parts/states.tsx';
import { type Language, setLanguage, t, useLanguage } from '../text/index.ts';
import { browserZone } from '../time/zones.ts';

const leastLetters = 10;

function Door({ title, children, below }: { title: string; children: ReactNode; below?: ReactNode }) {
  const language = useLanguage();
  useEffect(() => {
    document.title = `${title} · Worktide`;
  }, [title]);
  return (
    <main className="mx-auto grid min-h-screen max-w-md content-center gap-5 p-4">
      <div className="flex items-center justify-between">
        <div className="flex items-center gap-3">
          <img src="/mark.svg" alt="" className="size-9" />
          <span className="text-xl font-semibold">Worktide</span>
        </div>
        <label className="text-sm">
          <span className="sr-only">{t('Language')}</span>
          <select className="field" value={language} onChange={(e) => void setLanguage(e.target.value as Language)}>
            <option value="en">English</option>
            <option value="de">Deutsch</option>
          </select>
        </label>
      </div>
      <div className="box space-y-4 p-6">
        <h1>{title}</h1>
        {children}
      </div>
      {below && <div className="text-center">{below}</div>}
    </main>
  );
}

/** A form that does one thing at a time and says what came of it. */
function Form({ submit, label, children }: { submit: () => Promise<unknown>; label: string; children: ReactNode }) {
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const act = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await submit();
    } catch (cause) {
      setError(cause);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form
      className="space-y-4"
      onSubmit={(event) => {
        event.preventDefault();
        if (!isBusy) void act();
      }}
    >
      {children}
      {error !== undefined && <Failure error={error} />}
      <Button type="submit" look="primary" isDisabled={isBusy} className="w-full">
        {label}
      </Button>
    </form>
  );
}

const field = (form: Record<string, string>, set: (form: Record<string, string>) => void) => (name: string) => ({
  name,
  value: form[name] ?? '',
  onText: (text: string) => set({ ...form, [name]: text }),
  required: true,
});

export function Login() {
  const [form, set] = useState<Record<string, string>>({});
  const of = field(form, set);
  const submit = async () => {
    const { data } = await client.POST('/api/v1/auth/login', {
      body: { email: form.email!, password: form.password!, deviceName: deviceName() },
    });
    if (data) signIn(data);
  };
  return (
    <Door
      title={t('Log in')}
      below={
        <Link to="/register" className="underline">
          {t('Make an organisation')}
        </Link>
      }
    >
      <Form submit={submit} label={t('Log in')}>
        <Input label={t('E-mail')} type="email" autoComplete="username" {...of('email')} />
        <Input label={t('Password')} type="password" autoComplete="current-password" {...of('password')} />
      </Form>
      <Link to="/forgot-password" className="block text-sm underline">
        {t('Forgot your password?')}
      </Link>
    </Door>
  );
}

/** What the list of one's sessions shows; nothing that the browser does not say with every request. */
function deviceName(): string {
  const { userAgent } = navigator;
  const browser = /Edg\//.test(userAgent)
    ? 'Edge'
    : /Firefox\//.test(userAgent)
      ? 'Firefox'
      : /Chrome\//.test(userAgent)
        ? 'Chrome'
        : 'Safari';
  const system = /Windows/.test(userAgent)
    ? 'Windows'
    : /Android/.test(userAgent)
      ? 'Android'
      : /iPhone|iPad/.test(userAgent)
        ? 'iOS'
        : /Mac OS/.test(userAgent)
          ? 'macOS'
          : 'Linux';
  return `${browser}, ${system}`;
}

export function Register() {
  const navigate = useNavigate();
  const [form, set] = useState<Record<string, string>>({});
  const of = field(form, set);
  const submit = async () => {
    const { data } = await client.POST('/api/v1/auth/register', {
      body: {
        email: form.email!,
        password: form.password!,
        name: form.name!,
        organizationName: form.organizationName!,
        timezone: browserZone(),
        deviceName: deviceName(),
      },
    });
    if (!data) return;
    // Where a newcomer goes on, before the session sends everybody to their day.
    await navigate({ to: '/register', search: { next: '/connect' }, replace: true });
    signIn(data);
  };
  return (
    <Door
      title={t('Make an organisation')}
      below={
        <Link to="/login" className="underline">
          {t('I have an account')}
        </Link>
      }
    >
      <Form submit={submit} label={t('Register')}>
        <Input label={t('Organisation')} autoComplete="organization" maxLength={100} {...of('organizationName')} />
        <Input label={t('Your name')} autoComplete="name" maxLength={100} {...of('name')} />
        <Input label={t('E-mail')} type="email" autoComplete="username" {...of('email')} />
        <Input
          label={t('Password')}
          help={t('At least {n} characters.', { n: leastLetters })}
          type="password"
          autoComplete="new-password"
          minLength={leastLetters}
          {...of('password')}
        />
      </Form>
    </Door>
  );
}

export function Forgot() {
  const [form, set] = useState<Record<string, string>>({});
  const [isSent, setSent] = useState(false);
  const of = field(form, set);
  return (
    <Door
      title={t('Forgot your password?')}
      below={
        <Link to="/login" className="underline">
          {t('Log in')}
        </Link>
      }
    >
      {isSent ? (
        <p role="status">
          {t('If there is an account with this address, a mail with a link is on its way. It is good for an hour.')}
        </p>
      ) : (
        <Form
          label={t('Send me a link')}
          submit={async () => {
            await client.POST('/api/v1/auth/password/forgot', { body: { email: form.email! } });
            setSent(true);
          }}
        >
          <Input label={t('E-mail')} type="email" autoComplete="username" {...of('email')} />
        </Form>
      )}
    </Door>
  );
}

function NoToken() {
  return <p role="alert">{t('This link is not valid any more.')}</p>;
}

export function Reset() {
  const { token } = useSearch({ from: '/reset-password' });
  const navigate = useNavigate();
  const [form, set] = useState<Record<string, string>>({});
  const [revokes, setRevokes] = useState(false);
  const of = field(form, set);
  const submit = async () => {
    await client.POST('/api/v1/auth/password/reset', {
      body: { token: token!, password: form.password!, revokeAgentKeys: revokes },
    });
    // All sessions have ended with it, this browser's too.
    if (currentSession().status === 'in') leave();
    await navigate({ to: '/login', replace: true });
  };
  return (
    <Door title={t('A new password')}>
      {token === undefined ? (
        <NoToken />
      ) : (
        <Form submit={submit} label={t('Set the password')}>
          <Input
            label={t('New password')}
            help={t('At least {n} characters.', { n: leastLetters })}
            type="password"
            autoComplete="new-password"
            minLength={leastLetters}
            {...of('password')}
          />
          <Check
            label={t('Revoke my agent keys too')}
            checked={revokes}
            onChange={(event) => setRevokes(event.target.checked)}
          />
        </Form>
      )}
    </Door>
  );
}

export function Accept() {
  const { token } = useSearch({ from: '/accept-invitation' });
  const navigate = useNavigate();
  const [form, set] = useState<Record<string, string>>({});
  const of = field(form, set);
  const submit = async () => {
    const { data } = await client.POST('/api/v1/invitations/accept', {
      body: {
        token: token!,
        name: form.name!,
        password: form.password!,
        timezone: browserZone(),
        deviceName: deviceName(),
      },
    });
    if (!data) return;
    signIn(data);
    await navigate({ to: '/connect', replace: true });
  };
  return (
    <Door title={t('Join your team')}>
      {token === undefined ? (
        <NoToken />
      ) : (
        <Form submit={submit} label={t('Join')}>
          <Input label={t('Your name')} autoComplete="name" maxLength={100} {...of('name')} />
          <Input
            label={t('Password')}
            help={t('At least {n} characters.', { n: leastLetters })}
            type="password"
            autoComplete="new-password"
            minLength={leastLetters}
            {...of('password')}
          />
        </Form>
      )}
    </Door>
  );
}

export function Verify() {
  const { token } = useSearch({ from: '/verify-address' });
  const [isDone, setDone] = useState(false);
  return (
    <Door
      title={t('Your address')}
      below={
        <Link to="/" className="underline">
          {t('Go on')}
        </Link>
      }
    >
      {token === undefined ? (
        <NoToken />
      ) : isDone ? (
        <p role="status">{t('Your address is proven. Thank you.')}</p>
      ) : (
        <Form
          label={t('This is my address')}
          submit={async () => {
            await client.POST('/api/v1/auth/verify', { body: { token } });
            const session = currentSession();
            if (session.status === 'in') changeAccount({ user: { ...session.user, verified: true } });
            setDone(true);
          }}
        >
          <p>{t('One press, and mails reach you here.')}</p>
        </Form>
      )}
    </Door>
  );
}
