import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Request, Response } from 'express';
import type { z } from 'zod';
import { forbidden } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { RequestLimit } from './limits.ts';

export type Role = 'admin' | 'manager' | 'employee';

/** Who is calling, as the credential says. Organisation and user never come from anywhere else. */
export interface Caller {
  organizationId: string;
  userId: string;
  role: Role;
  /** IANA zone of the user, the default of reports. */
  timezone: string;
  /** Set for access tokens. */
  sessionId?: string;
  /** Set for agent keys. */
  agentKeyId?: string;
  /** The device of the credential, where it has one. */
  deviceId?: string;
  /** Set where the address of the account is not proven: it reads, and neither makes nor sends anything. */
  unverified?: true;
  /** When the user paused what is recorded of them, the last time: epoch ms, `until` not included. */
  pause?: { from: number; until: number } | undefined;
}

/** For all that makes or sends something (rule Identity: an address is nobody's until proven). @throws 403. */
export function requireVerified(caller: Caller): void {
  if (caller.unverified) {
    throw forbidden('Follow the link in the mail to your address first.', 'ADDRESS_NOT_VERIFIED');
  }
}

/** Whose share of what is looked up for strangers a request takes, as `addressGroup`. Asked only where it is needed. */
export type Sender = () => string;

/**
 * Checks a request's credential. Throws 401 for none or a bad one, 503 where it cannot be checked now.
 * @param signal ends what is done for this request alone.
 */
export type Authenticate = (
  authorization: string | undefined,
  sender: Sender,
  signal?: AbortSignal | undefined,
) => Promise<Caller>;

export interface RouteContext<B = unknown, Q = unknown, P = unknown> {
  req: Request;
  res: Response;
  body: B;
  query: Q;
  params: P;
  requestId: string;
  log: Logger;
  /** Aborted when the client goes away, the answer is late, or the process is stopping and its time is nearly over. */
  signal: AbortSignal;
  /** The caller; reading it on a `public` route is a programming error and throws. */
  readonly caller: Caller;
}

export interface Reply {
  status: number;
  body?: unknown;
  headers?: Record<string, string | string[]>;
}

export interface ResponseSpec {
  description: string;
  schema?: z.ZodType;
  /** Content types of files that it can be instead. */
  files?: readonly string[];
  headers?: Record<string, string>;
}

/**
 * One operation: what validates it, what documents it and what does it, in one place.
 * - `access: 'public'` no credential; `'user'` access token, or an agent key for what an agent may (`accessOf`);
 *   `'session'` access token only; `'internal'` the bearer secret that services share, never routed from outside and
 *   not in the OpenAPI document.
 * - `roles` narrows `user` and `session`.
 * - Requests under `/api/v1` are counted by address (`Service.ipLimit`) unless `agents` is set.
 */
export interface Route<
  B extends z.ZodType = z.ZodType,
  Q extends z.ZodType = z.ZodType,
  P extends z.ZodType = z.ZodType,
> {
  method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  /** Whole path in Express syntax, e.g. `/api/v1/alerts/:id/resolve`. */
  path: string;
  operationId: string;
  summary: string;
  description?: string;
  tag: string;
  access: 'public' | 'user' | 'session' | 'internal';
  roles?: readonly Role[];
  /**
   * What agents call, and may write: a whole office of them may share one address, so they are limited by user and
   * organisation.
   */
  agents?: boolean;
  /** Also for who has not proven their address yet, though it changes something: of their own account alone. */
  unverified?: boolean;
  /** Counted for each user, besides the limit by address. */
  userLimit?: RequestLimit;
  body?: B;
  /** Largest body in bytes, 100 kB unless said. */
  bodyLimit?: number;
  query?: Q;
  params?: P;
  /** Headers of a request that mean something here, with what each means. */
  requestHeaders?: Record<string, string>;
  /** The refresh cookie is a credential here, and enough. */
  refreshCookie?: boolean;
  /** Successful answers; the error answers that every route of its kind has are added to the document. */
  responses: Record<number, ResponseSpec>;
  /** Error statuses that it can answer beyond those of its kind, with what each means. */
  alsoAnswers?: Record<number, string>;
  handler: (context: RouteContext<z.output<B>, z.output<Q>, z.output<P>>) => Promise<Reply> | Reply;
}

export interface RawContext {
  requestId: string;
  log: Logger;
  sender: Sender;
}

/**
 * A hot route that is matched by method and path before Express and reads its own body. `:name` in a path is any one segment,
 * and a path that ends in `/*name` takes all that begins with what is before the asterisk.
 * It is documented like any other (`spec`), but owns its whole request, limits
 * included (`takeLimit`); those by address do not apply.
 */
export interface RawRoute {
  spec: Omit<Route, 'handler'> & {
    /** Other content types of the body than JSON, e.g. `application/x-ndjson`. */
    contentTypes?: string[];
    /** The body is no JSON but a multipart form with the fields of `body`, files among them as `z.file()`. */
    multipart?: boolean;
  };
  /** How long the body may be on its way, in ms, where it is not as for all others. */
  bodyTimeoutMs?: number;
  /** Bytes a second at which the body has to come, where it is not as for all others. */
  minBodyRate?: number;
  handle: (req: IncomingMessage, res: ServerResponse, context: RawContext) => Promise<void>;
}

/**
 * What takes connections over that ask for a websocket. A request for one elsewhere is a request like any other, and
 * answered as such.
 */
export interface UpgradeRoute {
  /** What their paths begin with. */
  path: string;
  /** Owns the connection from here on. `address` is who asks, behind the proxies that are trusted. */
  handle: (req: IncomingMessage, socket: Duplex, head: Buffer, context: { address: string | undefined }) => void;
  /** The ports are being closed: lets go of all connections. A server waits for them. */
  close: () => Promise<void> | void;
}

/** Keeps the types of schemas and handler together: `route({... body: schema, handler: ({ body }) => …})`. */
// biome-ignore lint/suspicious/noExplicitAny: a list of routes has members of many shapes; each is checked here, where it is made.
export type AnyRoute = Route<any, any, any>;
export function route<B extends z.ZodType, Q extends z.ZodType, P extends z.ZodType>(r: Route<B, Q, P>): AnyRoute {
  return r;
}

/** Answers within 2 s whether a dependency works: resolves, or throws with the reason. */
export type ReadinessCheck = () => Promise<void> | void;

/** What a service's `run.ts` gives back: main.ts serves one of them, the standalone tool several on one port. */
export interface Service {
  name: string;
  routes: AnyRoute[];
  rawRoutes?: RawRoute[];
  upgrades?: UpgradeRoute[];
  /**
   * Called with every request before anything looks at it: moves a credential that clients of another system put elsewhere
   * into `Authorization`, and out of `url`, which is logged and shown. Never throws.
   */
  takeCredential?: (req: IncomingMessage) => void;
  /**
   * Files and pages: asked for every GET and HEAD that no route of any service takes. False where it has nothing there either,
   * and has touched nothing.
   */
  pages?: (req: Request, res: Response) => boolean;
  /** Dependencies by the name shown in `/health/ready`. */
  checks: Record<string, ReadinessCheck>;
  /** Shown there as well, but the service is ready without them: what only some of its operations need. */
  sideChecks?: Record<string, ReadinessCheck>;
  /**
   * Told of who has asked for a change by a declared route, whatever came of it, and before they are answered: their own
   * lists are not to be read where it may be missing. Never rejects.
   */
  wrote?: (caller: Caller) => Promise<void>;
  /** Absent only where every route is public or internal. */
  authenticate?: Authenticate;
  /** The secret that services share: of `internal` routes, and of whom another service says that it asks for (`signSender`). */
  internalToken?: string;
  /** Counts requests by address, before their credentials are looked at. */
  ipLimit?: RequestLimit;
}

/**
 * Who may call a route at all. An agent's key lies in a file on a device: it does what agents do, and reads (rule
 * Identity: agent keys). Anything else that changes something or has roles needs a log-in, whatever it declares.
 */
export function accessOf({ access, method, roles, agents }: Omit<Route, 'handler'>): Route['access'] {
  return access === 'user' && !agents && (method !== 'get' || roles) ? 'session' : access;
}

/** Whether a service's requests to this route are counted by address. */
export const isLimitedByAddress = (service: Service, { path, access, agents }: Omit<Route, 'handler'>): boolean =>
  service.ipLimit !== undefined && path.startsWith('/api/v1/') && access !== 'internal' && !agents;
