import { userAsked } from '@worktide/identity';
import { tenantTransaction } from '@worktide/postgres';
import {
  type AnyRoute,
  type Caller,
  conflict,
  createTurns,
  invalid,
  type Metrics,
  notFound,
  type RequestLimit,
  route,
  type Turns,
} from '@worktide/runtime';
import * as schemas from '@worktide/schemas';
import { epochMs, type TimeEntryState } from '@worktide/schemas';
import {
  alreadyOpen,
  type Book,
  change,
  changeEntry,
  entryFor,
  findFor,
  overlap,
  personFor,
  type Request,
  show,
  type TimersContext,
} from './act.ts';
import { type About, createByHand, edit, lastStepOf, pause, remove, resume, start, stop } from './commands.ts';
import { listEntries, listHistory } from './list.ts';
import { findRequest, type KeyedRequest, keyedRequest, rememberRequest } from './requests.ts';
import { type Action, findEntry, findOpen, findOverlapping } from './store.ts';

const tag = 'time entries';
const path = '/api/v1/time-entries';
/** A year and a day of it: what one request makes the database look at stays bounded. */
const maxRangeMs = 367 * 24 * 3_600_000;

const params = schemas.idParams.extend({ id: schemas.id.toLowerCase() });

export interface TimerRoutesOptions extends TimersContext {
  /** Of people: some lists of one at a time. */
  turns: Turns;
  /** Of each person, on what agents call: an office of them shares one address. */
  limit: RequestLimit;
  metrics: Metrics;
}

const keyHeader = {
  'Idempotency-Key': 'Of this request, 1–128 characters: sent again within seven days it makes nothing new.',
};

/**
 * What one person changes is done one after the other in the end: waiting for that here costs no connection of the
 * database. As many as that at once is a script.
 */
const changeTurns = {
  name: 'changes of timers of a person',
  places: Number.POSITIVE_INFINITY,
  placesEach: 1,
  maxWaitingEach: 500,
  maxWaitMs: 10_000,
};

export function timerRoutes(context: TimerRoutesOptions): AnyRoute[] {
  const { pool, reads, workspace, identity, turns, limit, now } = context;
  const ofAgents = { tag, access: 'user', agents: true, userLimit: limit } as const;
  const changes = createTurns({ ...changeTurns, metrics: context.metrics });
  const inTurn = <T>({ caller, signal }: Request, work: () => Promise<T>): Promise<T> =>
    changes.run(caller.userId, work, { signal, cost: 1 });

  /** What was done, and how it is now. */
  async function answer(book: Book, entry: TimeEntryState): Promise<schemas.TimeEntry> {
    const [shown] = await show(book.client, book.who, [entry], book.nowMs);
    return shown!;
  }

  /** What the same request has made before, as it is now. @throws 404 where it was deleted since. */
  async function madeBefore(
    { client, nowMs }: Pick<Book, 'client' | 'nowMs'>,
    { organizationId, userId: actorId }: Caller,
    keyed: KeyedRequest | undefined,
  ) {
    const id = keyed && (await findRequest(client, { organizationId, actorId }, keyed));
    if (id === undefined) return undefined;
    const made = (await findEntry(client, organizationId, id))!;
    if (made.entry.deleted) throw notFound('The entry that this request made before was deleted.');
    const [body] = await show(client, { organizationId, userId: made.userId }, [made.entry], nowMs);
    return { status: 200, body: body! };
  }

  interface Made {
    userId: string;
    build: (nowMs: number) => TimeEntryState;
  }

  /**
   * Makes an entry, or gives the one that the same request has made before.
   * @param prepare what is to be made, once person, project and task are looked up: as they are now, so not of what was made.
   */
  async function make(request: Request, keyed: KeyedRequest | undefined, action: Action, prepare: () => Promise<Made>) {
    const { caller, signal } = request;
    if (keyed) {
      const before = await tenantTransaction(
        pool,
        caller.organizationId,
        (client) => madeBefore({ client, nowMs: now() }, caller, keyed),
        { signal },
      );
      if (before) return before;
    }
    const { userId, build } = await prepare();
    const work = async (book: Book) => {
      const { client, who } = book;
      // Another one of the same may have been quicker.
      const before = await madeBefore(book, caller, keyed);
      if (before) return before;
      const entry = build(book.nowMs);
      const other = await findOverlapping(client, who, entry);
      if (other && entry.endedAt === null) {
        // Whatever has no end meets whatever has none.
        const open = other.endedAt === null ? other : await findOpen(client, who);
        if (open) throw alreadyOpen(open);
      }
      if (other) throw overlap(other);
      await book.write({ action, before: null, after: entry });
      if (keyed) await rememberRequest(client, who, keyed, entry.id);
      return { status: 201, body: await answer(book, entry) };
    };
    return change(context, request, userId, work);
  }

  /** A step of a timer: its state says which are allowed. */
  const step = (
    name: string,
    action: Action,
    summary: string,
    apply: (entry: TimeEntryState, at: number, nowMs: number) => TimeEntryState,
    conflicts: string,
  ): AnyRoute =>
    route({
      method: 'put',
      path: `${path}/:id/${name}`,
      operationId: `${name}Timer`,
      summary,
      description: 'At `at`, which is not before the last change of state and not in the future; now unless said.',
      ...ofAgents,
      params,
      body: schemas.timerStep,
      responses: { 200: { description: 'As it is now.', schema: schemas.timeEntry } },
      alsoAnswers: { 409: conflicts },
      handler: (request) =>
        inTurn(request, async () => {
          const { params: named, body } = request;
          return changeEntry(context, request, named.id, async (book, entry) => {
            // The last step may have been by the clock of another machine, a little ahead of this one.
            const nowMs = Math.max(book.nowMs, lastStepOf(entry));
            const after = apply(entry, body?.at === undefined ? nowMs : epochMs(body.at), nowMs);
            await book.write({ action, before: entry, after });
            return { status: 200, body: await answer(book, after) };
          });
        }),
    });

  return [
    route({
      method: 'post',
      path,
      operationId: 'startTimer',
      summary: 'Start a timer',
      description:
        'A person has one open timer at most. With an `Idempotency-Key`, remembered for seven days, the same request sent again ' +
        'is answered 200 with the entry that the first one made, as it is now; 404 where it was deleted since.',
      ...ofAgents,
      body: schemas.newTimer,
      requestHeaders: keyHeader,
      responses: {
        200: { description: 'The entry that the same request made before.', schema: schemas.timeEntry },
        201: { description: 'It runs.', schema: schemas.timeEntry },
      },
      alsoAnswers: {
        409: '`TIMER_RUNNING`, whose details name the open one; `OVERLAP`, whose details name the other entry.',
        422: '`IDEMPOTENCY_KEY_REUSED`',
      },
      handler: (request) =>
        inTurn(request, async () => {
          const { body, caller, req } = request;
          return make(request, keyedRequest(req, 'start', body), 'started', async () => {
            const about = {
              ...(await checked(caller.organizationId, body)),
              timezone: body.timezone ?? caller.timezone,
            };
            return {
              userId: caller.userId,
              build: (nowMs) => start(about, body.startTime === undefined ? nowMs : epochMs(body.startTime), nowMs),
            };
          });
        }),
    }),
    route({
      method: 'post',
      path: `${path}/manual`,
      operationId: 'addTimeEntry',
      summary: 'Add an entry by hand',
      description: 'Managers and administrators also for others. `Idempotency-Key` as for a timer.',
      tag,
      access: 'session',
      body: schemas.newManualEntry,
      requestHeaders: keyHeader,
      responses: {
        200: { description: 'The entry that the same request made before.', schema: schemas.timeEntry },
        201: { description: 'Added.', schema: schemas.timeEntry },
      },
      alsoAnswers: {
        404: 'There is no such user here.',
        409: '`OVERLAP`, whose details name the other entry.',
        422: '`IDEMPOTENCY_KEY_REUSED`',
      },
      handler: (request) =>
        inTurn(request, async () => {
          const { body, caller, req } = request;
          return make(request, keyedRequest(req, 'manual', body), 'created', async () => {
            const { userId, timezone } = await personFor(context, caller, body.userId);
            const about = { ...(await checked(caller.organizationId, body)), timezone: body.timezone ?? timezone };
            return {
              userId,
              build: (nowMs) => createByHand(about, epochMs(body.startTime), epochMs(body.endTime), nowMs),
            };
          });
        }),
    }),
    route({
      method: 'get',
      path: `${path}/active`,
      operationId: 'activeTimeEntry',
      summary: 'The timer that runs or is paused',
      tag,
      access: 'user',
      query: schemas.activeTimeEntryQuery,
      responses: { 200: { description: 'It, or null.', schema: schemas.activeTimeEntry } },
      handler: async ({ caller, query, signal }) => {
        const { organizationId } = caller;
        const userId = await userAsked(caller, query.userId, identity.findUser);
        const whose = { organizationId, userId };
        const entry = await tenantTransaction(
          pool,
          organizationId,
          async (client) => {
            const open = await findOpen(client, whose);
            return open ? (await show(client, whose, [open], now()))[0]! : null;
          },
          { signal },
        );
        return { status: 200, body: { entry } };
      },
    }),
    route({
      method: 'get',
      path,
      operationId: 'listTimeEntries',
      summary: 'Entries that touch [from, to), newest first',
      description: 'Of the caller unless `userId` is given; another user needs manager or admin. At most 367 days.',
      tag,
      access: 'user',
      query: schemas.timeEntryQuery,
      responses: { 200: { description: 'A page of entries.', schema: schemas.timeEntryPage } },
      handler: async ({ caller, query, signal }) => {
        const { from, to } = rangeOf(query);
        const { organizationId } = caller;
        const userId = await userAsked(caller, query.userId, identity.findUser);
        const { projectId, status, cursor, limit } = query;
        const asked = { organizationId, userId, from, to, projectId, status, cursor, limit };
        const list = async () => listEntries(await reads.for(caller), asked, now(), signal);
        const body = await turns.run(caller.userId, list, { signal });
        return { status: 200, body };
      },
    }),
    route({
      method: 'get',
      path: `${path}/:id`,
      operationId: 'timeEntry',
      summary: 'An entry',
      tag,
      access: 'user',
      params,
      responses: { 200: { description: 'The entry.', schema: schemas.timeEntry } },
      handler: async ({ caller, params: named, signal }) => {
        const { organizationId } = caller;
        const [entry] = await tenantTransaction(
          pool,
          organizationId,
          async (client) => {
            const found = await entryFor(client, caller, named.id);
            return show(client, { organizationId, userId: found.userId }, [found.entry], now());
          },
          { signal },
        );
        return { status: 200, body: entry };
      },
    }),
    route({
      method: 'patch',
      path: `${path}/:id`,
      operationId: 'changeTimeEntry',
      summary: 'Change an entry',
      description:
        'Only what is named changes. `version` is that of the state which the change was made from. A new start or end keeps ' +
        'the pauses that still lie inside.',
      tag,
      access: 'session',
      params,
      body: schemas.timeEntryChange,
      responses: { 200: { description: 'As it is now.', schema: schemas.timeEntry } },
      alsoAnswers: { 409: '`STALE_VERSION`, `OVERLAP`, or `TIMER_NOT_STOPPED` for an end of an open one.' },
      handler: (request) =>
        inTurn(request, async () => {
          const { params: named, body, caller } = request;
          const { version, reason, startTime, endTime, ...given } = body;
          const about = await checked(caller.organizationId, given, () => findFor(context, request, named.id));
          return changeEntry(context, request, named.id, async (book, entry) => {
            const { client, who, nowMs } = book;
            if (entry.version !== version) {
              throw conflict('STALE_VERSION', `The entry has changed: it is at version ${entry.version} now.`);
            }
            const startedAt = startTime === undefined ? undefined : epochMs(startTime);
            const endedAt = endTime === undefined ? undefined : epochMs(endTime);
            const after = edit(entry, { ...about, startedAt, endedAt }, nowMs);
            if (after === entry) return { status: 200, body: await answer(book, entry) };
            const moved = after.startedAt !== entry.startedAt || after.endedAt !== entry.endedAt;
            const other = moved ? await findOverlapping(client, who, after) : undefined;
            if (other) throw overlap(other);
            await book.write({ action: 'edited', before: entry, after, reason: reason ?? null });
            return { status: 200, body: await answer(book, after) };
          });
        }),
    }),
    route({
      method: 'delete',
      path: `${path}/:id`,
      operationId: 'deleteTimeEntry',
      summary: 'Delete an entry',
      description: 'Its history stays.',
      tag,
      access: 'session',
      params,
      query: schemas.timeEntryDeletion,
      responses: { 204: { description: 'Deleted.' } },
      handler: (request) =>
        inTurn(request, async () => {
          const { params: named, query } = request;
          await changeEntry(context, request, named.id, async (book, entry) => {
            const after = remove(entry, book.nowMs);
            await book.write({ action: 'deleted', before: entry, after, reason: query.reason ?? null });
          });
          return { status: 204 };
        }),
    }),
    step('pause', 'paused', 'Pause a timer', pause, '`TIMER_NOT_RUNNING`, `TIMER_STOPPED` or `TOO_MANY_PAUSES`.'),
    step('resume', 'resumed', 'Go on with a timer', resume, '`TIMER_NOT_PAUSED` or `TIMER_STOPPED`.'),
    step('stop', 'stopped', 'Stop a timer', stop, '`TIMER_STOPPED`'),
    route({
      method: 'get',
      path: `${path}/:id/history`,
      operationId: 'timeEntryHistory',
      summary: 'Every change of an entry',
      description: 'The first one first; also of an entry that was deleted. Nothing rewrites it.',
      tag,
      access: 'user',
      params,
      query: schemas.listQuery,
      responses: { 200: { description: 'A page of changes.', schema: schemas.timeEntryHistory } },
      handler: async ({ caller, params: named, query, signal }) => ({
        status: 200,
        body: await listHistory(pool, caller, named.id, query, signal),
      }),
    }),
  ];

  /**
   * What is said about an entry, once project and task are known to be there, and the task to be the project's. A task
   * alone brings its project along.
   * @param find the entry that it is said of; what is not said of it stays.
   */
  async function checked(organizationId: string, body: About, find?: () => Promise<TimeEntryState>): Promise<About> {
    const { projectId, taskId, description, tags, billable, timezone } = body;
    const about: About = said({ projectId, taskId, description, tags, billable, timezone });
    if (projectId === undefined && taskId === undefined) return about;
    const current = await find?.();
    const asked = {
      projectId: projectId === undefined ? (taskId ? null : (current?.projectId ?? null)) : projectId,
      taskId: taskId === undefined ? (current?.taskId ?? null) : taskId,
    };
    return { ...about, projectId: await workspace.check(organizationId, asked) };
  }
}

/** Without what is undefined. */
const said = <T extends object>(given: T): T =>
  Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as T;

function rangeOf(query: { from: string; to: string }): { from: number; to: number } {
  const from = Date.parse(query.from);
  const to = Date.parse(query.to);
  if (!(from < to)) throw invalid('INVALID_RANGE', 'from must be before to.');
  if (to - from > maxRangeMs) throw invalid('RANGE_TOO_LONG', 'A range has 367 days at most.');
  return { from, to };
}
