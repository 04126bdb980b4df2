import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Identity, Leads } from '@worktide/identity';
import {
  AppError,
  addressGroup,
  type Caller,
  createBudget,
  describeError,
  type Lifecycle,
  type Logger,
  type Metrics,
  type RequestLimit,
  toAppError,
  type UpgradeRoute,
} from '@worktide/runtime';
import { type Socket as Connection, Server as Engine } from 'engine.io';
import { type Namespace, Server, type Socket } from 'socket.io';
import type { Adapter } from 'socket.io-adapter';
import { type Adapters, broadcast, recoveryMs } from './adapter.ts';
import { type Admitted, createAdmission, ownerOf } from './admission.ts';
import { type Guard, type GuardReason, guardConnection } from './guard.ts';
import { socketLimits } from './limits.ts';
import { guardRecovery } from './recovery.ts';
import { rooms } from './rooms.ts';

/** What is said to a socket, or to all in some rooms. */
export interface Delivery {
  rooms: readonly string[];
  event: string;
  payload: unknown;
}

export interface SocketsOptions {
  adapters: Adapters;
  identity: Pick<Identity, 'authenticate'>;
  leads: Leads;
  /** Whether somebody sees a task. Rejects 503. */
  seesTask(caller: Caller, taskId: string): Promise<boolean>;
  /** What a socket is told first of its own person. */
  stateOf(caller: Caller, token: string): Promise<object>;
  /** Of requests of an address; a connection is one. */
  addressLimit: RequestLimit;
  maxSockets: number;
  perUser: number;
  perAddress: number;
  lifecycle: Lifecycle;
  log: Logger;
  metrics: Metrics;
}

export interface Sockets {
  upgrade: UpgradeRoute;
  /** To all in some rooms, at all replicas. Rejects 503 where that is not certain; it may come twice then. */
  deliver(delivery: Delivery): Promise<void>;
  /** Only those may go on hearing of a task who are in one of these rooms. Rejects 503. */
  keepInTask(taskId: string, allowed: readonly string[]): Promise<void>;
  /** Who leads whom has changed in a team: its leads, and those who were, look again. */
  teamChanged(change: TeamChange): void;
  /** Sockets of this process. */
  readonly count: number;
}

export interface TeamChange {
  organizationId: string;
  teamId: string;
  leadIds: readonly string[];
}

/** What is known of a socket beside what Socket.IO keeps, which is written to key-value when it is lost. */
interface Held {
  admitted: Admitted;
  sender: string;
  teams: ReadonlySet<string>;
  led: ReadonlySet<string>;
  /** When it is looked again whom they lead. */
  leadsAt: number;
  tasks: Set<string>;
}

const checkEveryMs = 2_000;
/** Longer than `Leads` believes what it has heard. */
const leadsAgainMs = 6_000;
const leadsEveryMs = 60_000;
const path = '/socket.io/';

const messages: Record<GuardReason, string> = {
  TOO_MANY_EVENTS: 'Too many messages; wait a little.',
  READS_TOO_SLOWLY: 'What was sent was not read.',
};

/**
 * The Socket.IO server: who may connect, which rooms they are in, and what anybody may ask of it. Websockets alone, so that
 * a connection is at one replica and no balancer has to know which.
 */
export function createSockets(options: SocketsOptions): Sockets {
  const { adapters, identity, leads, lifecycle, log, metrics, perAddress, maxSockets } = options;
  const refusals = metrics.counter('worktide_sockets_refused_total', 'Sockets that were refused, by code.', ['code']);
  const cuts = metrics.counter('worktide_sockets_cut_total', 'Sockets that were cut, by code.', ['code']);
  const recoveries = metrics.counter('worktide_sockets_recovered_total', 'Sockets that went on where they were cut.');
  const delivered = metrics.counter('worktide_pushes_total', 'Events sent to rooms.', ['event']);
  const budget = createBudget({
    name: 'sockets',
    total: maxSockets,
    metrics,
    message: 'Too many connections at the moment; try again.',
  });
  const admission = createAdmission({ identity, budget, perUser: options.perUser });

  const engine = new Engine({
    transports: ['websocket'],
    allowUpgrades: false,
    maxHttpBufferSize: socketLimits.frameBytes,
    pingInterval: 25_000,
    pingTimeout: 20_000,
  });
  /** Called with `new`, which an arrow function cannot be. */
  function makeAdapter(of: Namespace) {
    return adapters.create(of);
  }
  const server = new Server({
    serveClient: false,
    connectTimeout: socketLimits.silentMs,
    // Who comes back is asked for the token again: it may have ended meanwhile.
    connectionStateRecovery: { maxDisconnectionDuration: recoveryMs, skipMiddlewares: false },
    adapter: makeAdapter as never,
  });
  server.bind(engine as never);
  const namespace = server.of('/');
  const adapter = namespace.adapter as unknown as Adapter;

  /** Of each connection, from its first byte: who sent it, and what of it waits. */
  const senders = new WeakMap<IncomingMessage, string>();
  const connections = new Map<
    Connection,
    { sender: string; guard: Guard; socket: Socket | undefined; busy: boolean }
  >();
  const perSender = new Map<string, number>();
  const held = new Map<Socket, Held>();
  metrics.observed('worktide_sockets', 'Sockets that are connected.', () => held.size);
  metrics.observed('worktide_socket_waiting_bytes', 'Bytes that sockets have not read yet.', () => {
    let sum = 0;
    for (const { guard } of connections.values()) sum += guard.waitingBytes();
    return sum;
  });

  engine.on('connection', (connection: Connection) => {
    const sender = senders.get(connection.request) ?? 'unknown';
    const known = { sender, socket: undefined as Socket | undefined, busy: false } as {
      sender: string;
      guard: Guard;
      socket: Socket | undefined;
      busy: boolean;
    };
    known.guard = guardConnection(connection, (reason) => {
      if (known.socket) cut(known.socket, reason, messages[reason]);
      else cuts.inc({ code: reason });
      // Who does not read is not told, and who floods is given a moment.
      if (reason === 'READS_TOO_SLOWLY' || !known.socket) known.guard.terminate();
    });
    connections.set(connection, known);
    connection.once('close', () => {
      connections.delete(connection);
    });
    // Headers of a request that is long over: half of what an idle socket weighs.
    (connection as { request: unknown }).request = undefined;
  });

  /** Says why, and ends it; what waits to be read is given a second. */
  function cut(socket: Socket, code: string, message: string): void {
    if (!socket.connected) return;
    cuts.inc({ code });
    speak(socket, 'cut', { code, message, at: new Date().toISOString() });
    const connection = socket.conn as unknown as Connection;
    socket.disconnect(true);
    const known = connections.get(connection);
    setTimeout(() => known?.guard.terminate(), 1_000).unref();
  }

  guardRecovery(namespace, async (token, pid) => {
    const caller = await admission.authenticate(token, () => 'unknown');
    return pid.startsWith(`${ownerOf(caller)}~`);
  });

  namespace.use(async (socket, next) => {
    const connection = socket.conn as unknown as Connection;
    const known = connections.get(connection);
    let admitted: Admitted | undefined;
    try {
      // One is enough, and many at once would each take a place.
      if (!known || known.busy) {
        throw new AppError('ALREADY_CONNECTED', 'This connection has a socket already.', { statusCode: 409 });
      }
      known.busy = true;
      const { sender } = known;
      const { token } = socket.handshake.auth as { token?: unknown };
      const caller = await admission.authenticate(token, () => sender);
      admitted = admission.admit(caller, token as string, (error) => cut(socket, error.code, error.message));
      if (!connections.has(connection)) throw new AppError('GONE', 'The connection has ended.', { statusCode: 400 });
      connection.once('close', admitted.release);
      known.socket = socket;
      held.set(socket, {
        admitted,
        sender,
        teams: new Set(),
        led: new Set(),
        leadsAt: 0,
        tasks: new Set(),
      });
      connection.once('close', () => held.delete(socket));
      if (!socket.recovered) {
        const named = socket as unknown as { pid: string };
        named.pid = `${ownerOf(caller)}~${named.pid}`;
      }
      next();
    } catch (error) {
      admitted?.release();
      const { code, message, statusCode, retryAfterSeconds } = toAppError(error);
      if (statusCode === 500) log.error({ err: error }, 'a socket could not be admitted');
      if (known && code !== 'ALREADY_CONNECTED') known.busy = false;
      refusals.inc({ code });
      next(Object.assign(new Error(message), { data: { code, ...(retryAfterSeconds ? { retryAfterSeconds } : {}) } }));
    }
  });

  namespace.on('connection', (socket) => {
    const about = held.get(socket);
    if (!about) return void socket.disconnect(true);
    const { caller } = about.admitted;
    socket.once('disconnect', () => {
      held.delete(socket);
      // Nobody is behind it any more who may be there.
      (socket.conn as unknown as Connection).close();
    });
    void socket.join(rooms.user(caller.userId));
    if (caller.role !== 'employee') void socket.join(rooms.organization(caller.organizationId));
    if (socket.recovered) recoveries.inc();
    socket.on('ping', (...args: unknown[]) => {
      const answer = { at: new Date().toISOString() };
      speak(socket, 'pong', answer);
      answerTo(args)?.(answer);
    });
    socket.on(
      'subscribe-to-task',
      (...args: unknown[]) => void acknowledge(args, () => subscribe(socket, about, args[0])),
    );
    socket.on('unsubscribe-from-task', (...args: unknown[]) =>
      acknowledge(args, async () => {
        const taskId = taskIdOf(args[0]);
        about.tasks.delete(taskId);
        await socket.leave(rooms.task(taskId));
      }),
    );
    socket.on('renew', (...args: unknown[]) => void acknowledge(args, () => renew(socket, about, args[0])));
    const at = new Date().toISOString();
    speak(socket, 'connected', { userId: caller.userId, organizationId: caller.organizationId, at });
    void tellState(socket, about);
    if (caller.role === 'employee') void lookWhomTheyLead(socket, about);
  });

  async function tellState(socket: Socket, { admitted }: Held): Promise<void> {
    try {
      const state = await options.stateOf(admitted.caller, admitted.token);
      speak(socket, 'session:state', { ...state, at: new Date().toISOString() });
    } catch (error) {
      const { code, message } = toAppError(error);
      log.warn({ err: error }, `a socket's first state is not known: ${describeError(error)}`);
      cut(socket, code, message);
    }
  }

  async function subscribe(socket: Socket, about: Held, given: unknown): Promise<void> {
    const taskId = taskIdOf(given);
    if (about.tasks.has(taskId)) return;
    if (about.tasks.size >= socketLimits.subscriptions) {
      const message = `A socket hears of ${socketLimits.subscriptions} tasks at most.`;
      throw new AppError('TOO_MANY_SUBSCRIPTIONS', message, { statusCode: 429 });
    }
    // Its place, before the wait: many at once are bounded as well.
    about.tasks.add(taskId);
    try {
      if (!(await options.seesTask(about.admitted.caller, taskId))) {
        throw new AppError('NOT_FOUND', 'There is no such thing here.', { statusCode: 404 });
      }
      if (about.tasks.has(taskId)) await socket.join(rooms.task(taskId));
    } catch (error) {
      about.tasks.delete(taskId);
      throw error;
    }
  }

  /** A new token in the place of one that will end: the socket goes on. */
  async function renew(socket: Socket, about: Held, given: unknown): Promise<void> {
    const { token } = (typeof given === 'object' && given !== null ? given : {}) as { token?: unknown };
    const caller = await admission.authenticate(token, () => about.sender);
    if (ownerOf(caller) !== ownerOf(about.admitted.caller)) {
      throw new AppError('OTHER_SESSION', 'That token is of another log-in.', { statusCode: 403 });
    }
    about.admitted.token = token as string;
    about.admitted.caller = caller;
    if (!socket.connected) about.admitted.release();
  }

  /** Joins the rooms of those whom they lead; leads are few, and have the role of anybody. */
  async function lookWhomTheyLead(socket: Socket, about: Held): Promise<void> {
    const now = performance.now();
    about.leadsAt = now + leadsEveryMs;
    try {
      const { teamIds, userIds } = await leads.of(about.admitted.caller);
      for (const userId of about.led) if (!userIds.has(userId)) await socket.leave(rooms.person(userId));
      for (const userId of userIds) if (!about.led.has(userId)) await socket.join(rooms.person(userId));
      about.led = userIds;
      about.teams = teamIds;
      // Of those who lead nobody a change of a team tells.
      if (teamIds.size === 0) about.leadsAt = Number.POSITIVE_INFINITY;
    } catch (error) {
      about.leadsAt = now + checkEveryMs;
      log.debug({ err: error }, `who leads whom is not known: ${describeError(error)}`);
    }
  }

  function lookAtTeam({ organizationId, teamId, leadIds }: TeamChange): void {
    for (const about of held.values()) {
      const { caller } = about.admitted;
      if (caller.role !== 'employee' || caller.organizationId !== organizationId) continue;
      if (about.teams.has(teamId) || leadIds.includes(caller.userId)) about.leadsAt = performance.now() + leadsAgainMs;
    }
  }
  namespace.on('team-changed', lookAtTeam);

  /** Whether everybody is still who they were, and reads. */
  async function check(signal: AbortSignal): Promise<void> {
    let n = 0;
    for (const [socket, about] of held) {
      if (signal.aborted) return;
      // Thousands at once would keep others waiting.
      if (++n % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
      const { caller, token } = about.admitted;
      try {
        const now = await identity.authenticate(`Bearer ${token}`, () => about.sender);
        if (now.role !== caller.role) cut(socket, 'ROLE_CHANGED', 'Your role has changed; connect again.');
      } catch (error) {
        const { code, message, statusCode } = toAppError(error);
        // What cannot be checked now is believed as it was.
        if (statusCode !== 503) cut(socket, code, message);
      }
      if (about.leadsAt <= performance.now() && caller.role === 'employee') void lookWhomTheyLead(socket, about);
    }
    for (const { guard, socket } of connections.values()) {
      if (guard.waitingBytes() <= socketLimits.waitingBytes) continue;
      if (socket) cut(socket, 'READS_TOO_SLOWLY', messages.READS_TOO_SLOWLY);
      guard.terminate();
    }
  }
  lifecycle.every('sockets', { everyMs: checkEveryMs, first: 'later' }, check);

  async function close(): Promise<void> {
    // As if the way had been lost: clients go on at another replica, with what they missed.
    await server.close();
    engine.close();
  }
  lifecycle.onClose('sockets', async () => {
    await close();
    adapters.end();
  });

  async function handle(
    req: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    { address }: { address: string | undefined },
  ): Promise<void> {
    const sender = addressGroup(address);
    const count = perSender.get(sender) ?? 0;
    socket.on('error', () => {});
    perSender.set(sender, count + 1);
    socket.once('close', () => {
      const left = perSender.get(sender)! - 1;
      if (left === 0) perSender.delete(sender);
      else perSender.set(sender, left);
    });
    try {
      lifecycle.signal.throwIfAborted();
      // Of a session that there is: it would go on by another connection, which nobody guards.
      if (new URL(req.url ?? '/', 'http://localhost').searchParams.has('sid')) {
        throw new AppError('INVALID', 'A connection is its own beginning: no sid.', { statusCode: 400 });
      }
      if (count >= perAddress) {
        throw new AppError('TOO_MANY_SOCKETS', 'This address has too many connections.', { statusCode: 429 });
      }
      // Places are for those who have said who they are; the others are few, or somebody makes them.
      if (connections.size >= 2 * maxSockets) {
        throw new AppError('BUSY', 'Too many connections at the moment; try again.', { statusCode: 503 });
      }
      await options.addressLimit.take(sender);
    } catch (error) {
      return refuse(socket, toAppError(error));
    }
    if (socket.destroyed) return;
    senders.set(req, sender);
    engine.handleUpgrade(req as never, socket, head);
  }

  function refuse(socket: Duplex, { code, message, statusCode, retryAfterSeconds = 1 }: AppError): void {
    refusals.inc({ code });
    const body = JSON.stringify({ statusCode, code, message });
    socket.end(
      `HTTP/1.1 ${statusCode} ${code}\r\nContent-Type: application/json\r\nRetry-After: ${retryAfterSeconds}\r\n` +
        `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    );
  }

  return {
    upgrade: { path, handle: (...args) => void handle(...args), close },
    async deliver(delivery) {
      await broadcast(adapter, delivery);
      delivered.inc({ event: delivery.event });
    },
    async keepInTask(taskId, allowed) {
      const room = rooms.task(taskId);
      await adapter.delSockets({ rooms: new Set([room]), except: new Set(allowed), flags: {} }, [room]);
    },
    teamChanged(change) {
      lookAtTeam(change);
      if (adapters.shared) namespace.serverSideEmit('team-changed', change);
    },
    get count() {
      return held.size;
    },
  };
}

/**
 * To this socket alone, and at once. `emit` would go through the adapter, so that it can be sent again after a recovery: by
 * way of Redis, and too late for who is cut.
 */
function speak(socket: Socket, event: string, payload: object): void {
  (socket as unknown as { packet(packet: object): void }).packet({ type: 2, data: [event, payload] });
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** @throws 400. */
function taskIdOf(given: unknown): string {
  const { taskId } = (typeof given === 'object' && given !== null ? given : {}) as { taskId?: unknown };
  if (typeof taskId === 'string' && uuid.test(taskId)) return taskId.toLowerCase();
  throw new AppError('INVALID', 'Expected {taskId}, a UUID.', { statusCode: 400 });
}

type Answer = (answer: object) => void;
const answerTo = (args: readonly unknown[]): Answer | undefined =>
  typeof args.at(-1) === 'function' ? (args.at(-1) as Answer) : undefined;

/** `{ok: true}` or `{error: {code, message}}`, to whom waits for it. */
async function acknowledge(args: readonly unknown[], work: () => Promise<void>): Promise<void> {
  const answer = answerTo(args);
  try {
    await work();
    answer?.({ ok: true });
  } catch (error) {
    const { code, message } = toAppError(error);
    answer?.({ error: { code, message } });
  }
}
