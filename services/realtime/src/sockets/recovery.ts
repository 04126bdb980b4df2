import type { Namespace } from 'socket.io';
import { SessionAwareAdapter } from 'socket.io-adapter';
import { isByRight } from './rooms.ts';

// What Socket.IO recovers of a connection that was lost, and for whom.

interface Session {
  pid: string;
  rooms: string[];
}
interface Sessions {
  persistSession(session: Session): void;
}

/**
 * What is sent to somebody who comes back is found by the rooms they were in. That somebody leads a person or sees a task may
 * have ended meanwhile, so whoever heard by such a right is not recovered: they are told so, and read the lists.
 */
export function withoutRights<A extends object>(adapter: A): A {
  const sessions = adapter as unknown as Sessions;
  const persist = sessions.persistSession.bind(adapter);
  sessions.persistSession = (session) => {
    if (!session.rooms.some(isByRight)) persist(session);
  };
  return adapter;
}

/** As in Redis, a session is there to be taken up once. */
export class OnceRecovered extends SessionAwareAdapter {
  override restoreSession(...[pid, offset]: Parameters<SessionAwareAdapter['restoreSession']>) {
    const session = super.restoreSession(pid, offset);
    (this as unknown as { sessions: Map<string, unknown> }).sessions.delete(pid);
    return session;
  }
}

/**
 * Socket.IO joins the rooms of a recovered session, and sends what it missed, before any middleware is asked. So who asks
 * is looked at before that; to whom it does not belong, there is nothing to recover, and the middleware says what is wrong.
 */
export function guardRecovery(namespace: Namespace, owns: (token: unknown, pid: string) => Promise<boolean>): void {
  interface Auth {
    token?: unknown;
    pid?: unknown;
    offset?: unknown;
  }
  const inner = namespace as unknown as { _add(client: unknown, auth: Auth, fn: unknown): Promise<void> };
  const add = inner._add.bind(inner);
  inner._add = async (client, auth, fn) => {
    const { pid, offset, ...rest } = auth ?? {};
    const recovers = typeof pid === 'string' && (await owns(rest.token, pid).catch(() => false));
    return add(client, recovers ? { ...rest, pid, offset } : rest, fn);
  };
}
