import { useSyncExternalStore } from 'react';
import { inTurnOfTabs } from '../parts/plain-http.ts';
import type { components } from './schema.d.ts';

type SignedIn = components['schemas']['SignedIn'];
type Account = Pick<SignedIn, 'user' | 'organization'>;

/** `unknown` until the first look at the cookie is answered. */
export type Session = { status: 'unknown' } | { status: 'out' } | ({ status: 'in' } & Account);

/**
 * The access token lives in this variable and nowhere else. What outlives the page is a cookie that no script reads; the note
 * says that there may be one, so that a stranger's first page asks for nothing.
 */
let access: { token: string; endsAt: number } | undefined;
let session: Session = { status: 'unknown' };
const listeners = new Set<() => void>();
const note = 'worktide.may-be-logged-in';
const channel = new BroadcastChannel('worktide');
/** Renewed so long before its end. */
const earlyMs = 60_000;

function set(next: Session): void {
  session = next;
  for (const listener of listeners) listener();
}

const subscribe = (listener: () => void): (() => void) => {
  listeners.add(listener);
  return () => void listeners.delete(listener);
};

export const onSession = subscribe;
export const currentSession = (): Session => session;
export const useSession = (): Session => useSyncExternalStore(subscribe, currentSession);
export const accessToken = (): string | undefined => access?.token;

/** Of a page that is for people who are logged in. */
export function useAccount(): Account {
  const present = useSession();
  // Between the end of a session and the page that follows it nothing of the old one is drawn anew.
  if (present.status !== 'in') throw new Error('nobody is logged in');
  return present;
}

export function signIn(answer: SignedIn): void {
  access = { token: answer.accessToken, endsAt: Date.now() + answer.expiresIn * 1_000 };
  localStorage.setItem(note, '1');
  set({ status: 'in', user: answer.user, organization: answer.organization });
}

/** What was changed of oneself or the organisation. */
export function changeAccount(change: Partial<Account>): void {
  if (session.status === 'in') set({ ...session, ...change });
}

function forget(): void {
  access = undefined;
  localStorage.removeItem(note);
  if (session.status !== 'out') set({ status: 'out' });
}

channel.addEventListener('message', ({ data }) => {
  if (data === 'left') forget();
});

/** The session is over, here and in every tab of this browser. */
export function leave(): void {
  forget();
  channel.postMessage('left');
}

export async function logOut(): Promise<void> {
  // Whatever becomes of it, this browser is done with the session.
  await fetch('/api/v1/auth/logout', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(access ? { authorization: `Bearer ${access.token}` } : {}) },
    body: '{}',
  }).catch(() => undefined);
  leave();
}

let renewing: Promise<boolean> | undefined;

/**
 * A new access token by the cookie; false where the session is over. Tabs take turns: they share one cookie.
 * @throws where nobody answers, or answers that it cannot tell: then nothing is known, and nothing ends.
 */
export function renew(): Promise<boolean> {
  renewing ??= inTurnOfTabs('worktide.renew', async () => {
    const response = await fetch('/api/v1/auth/refresh', { method: 'POST' });
    if (response.ok) {
      signIn((await response.json()) as SignedIn);
      return true;
    }
    if (response.status !== 401) throw new Error(`the session cannot be renewed (${response.status})`);
    leave();
    return false;
  }).finally(() => {
    renewing = undefined;
  });
  return renewing;
}

/** What is known of the session when the page begins. */
export async function restore(): Promise<void> {
  if (localStorage.getItem(note) === null) return set({ status: 'out' });
  for (let wait = 500; session.status === 'unknown'; wait = Math.min(wait * 2, 10_000)) {
    await renew().catch(() => new Promise((resolve) => setTimeout(resolve, wait)));
  }
}

/** @returns the request with a token that is good for a while yet, or without one where nobody is logged in. */
export async function authorize(request: Request): Promise<Request> {
  if (access && access.endsAt - Date.now() < earlyMs && !request.url.endsWith('/auth/refresh')) {
    await renew().catch(() => false);
  }
  if (access) request.headers.set('authorization', `Bearer ${access.token}`);
  return request;
}

/** How long the present token lasts before it is to be renewed, in ms; undefined without one. */
export const renewIn = (): number | undefined => access && Math.max(0, access.endsAt - earlyMs - Date.now());
