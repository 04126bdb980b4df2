import type { Account } from '../accounts.ts';
import { codeOf } from '../agents/judge.ts';
import type { TimeLedger } from './ledger.ts';
import type { EntryPlan, MinutePlan, Span } from './plan.ts';
import type { Sender, Sent } from './send.ts';

export interface PersonOptions {
  sender: Sender;
  ledger: TimeLedger;
  complain: (what: string) => void;
  /** Between two requests; resolves false where nothing new is to be begun. */
  pause: () => Promise<boolean>;
}

/** Something was sent to the end without an answer. */
class NoAnswer extends Error {}

/** How long the gateway is asked to wait for the outcome of a batch, and the writer for one on its way; seconds. */
const waitSeconds = 10;
const iso = (ms: number): string => new Date(ms).toISOString();
const path = '/api/v1/time-entries';

interface Outcome {
  batchId: string;
  conflicts: { index: number; reason: string; conflictsWith?: string }[];
  results: { index: number; outcome: string; id?: string }[];
}

/** One person who keeps their time: entry after entry, as planned; the ledger learns what was acknowledged. */
export function createPerson(account: Account, { sender, ledger, complain, pause }: PersonOptions) {
  const { userId } = account;

  /** The answer of a request that must be answered like this; undefined where it is not, which is told. */
  function taken<T>(what: string, sent: Sent | undefined, statuses: number[], done: string[] = []): T | undefined {
    if (!sent) throw new NoAnswer();
    const { answer, isRepeat } = sent;
    if (statuses.includes(answer.status)) return (answer.text === '' ? {} : JSON.parse(answer.text)) as T;
    // What an attempt without an answer has done is not done again, and says so.
    if (isRepeat && done.includes(codeOf(answer))) return {} as T;
    complain(`${what}: got ${answer.status} ${codeOf(answer)}`);
    return undefined;
  }

  const post = (key: string, body: object) => ({
    method: 'POST' as const,
    headers: { 'idempotency-key': key },
    body: JSON.stringify(body),
  });

  /** Starts a timer, whatever number of times. @returns its id. */
  async function start(plan: Pick<EntryPlan, 'key' | 'from' | 'description' | 'times'>): Promise<string | undefined> {
    const body = { startTime: iso(plan.from), timezone: account.timezone, description: plan.description };
    let id: string | undefined;
    for (let i = 0; i < plan.times; i++) {
      const sent = await sender.asAgent(account, 'writer', { path, ...post(plan.key, body) });
      const entry = taken<{ id: string }>('start', sent, i === 0 ? [200, 201] : [200]);
      if (!entry) return undefined;
      if (id !== undefined && entry.id !== id) complain('start: the same key, another entry');
      id ??= entry.id;
    }
    return id;
  }

  async function step(id: string, name: 'pause' | 'resume' | 'stop', at: number): Promise<boolean> {
    const done = { pause: 'TIMER_NOT_RUNNING', resume: 'TIMER_NOT_PAUSED', stop: 'TIMER_STOPPED' }[name];
    const out = { method: 'PUT' as const, path: `${path}/${id}/${name}`, body: JSON.stringify({ at: iso(at) }) };
    const sent = await sender.asAgent(account, 'writer', out);
    await pause();
    return taken(name, sent, [200], [done]) !== undefined;
  }

  async function keepTimer(plan: EntryPlan): Promise<void> {
    const id = await start(plan);
    if (id === undefined) return;
    const steps: ['pause' | 'resume' | 'stop', number][] = plan.pauses.flatMap(({ from, to }, i) => [
      ['pause', from] as const,
      ...(plan.stopsPaused && i === plan.pauses.length - 1 ? [] : [['resume', to] as const]),
    ]) as never;
    for (const [name, at] of [...steps, ['stop', plan.to] as const]) if (!(await step(id, name, at))) return;
    const { from, to, pauses, description } = plan;
    ledger.set(userId, plan.key, { kind: 'timer', from, to, pauses, description, version: steps.length + 2 });
  }

  /** Hands over a batch, and waits for what becomes of it. */
  async function sync(entries: object[]): Promise<Outcome> {
    const headers = { prefer: `wait=${waitSeconds}` };
    const out = { method: 'POST' as const, path: '/api/v1/sync/batch', headers, body: JSON.stringify({ entries }) };
    const first = await sender.asAgent(account, 'ingest', out);
    let answer = taken<Outcome>('batch', first, [200, 202]);
    let status = first!.answer.status;
    while (answer && status === 202) {
      const asking = { method: 'GET' as const, path: `/api/v1/sync/batches/${answer.batchId}?wait=${waitSeconds}` };
      const next = await sender.asAgent(account, 'writer', asking);
      answer = taken<Outcome>('batch', next, [200, 202]);
      status = next!.answer.status;
    }
    if (!answer) throw new NoAnswer();
    return answer;
  }

  const offline = ({ key, from, description }: EntryPlan, to: number | undefined, more: object = {}) => ({
    idempotencyKey: key,
    startTime: iso(from),
    ...(to === undefined ? { status: 'RUNNING' } : { status: 'STOPPED', endTime: iso(to) }),
    description,
    timezone: account.timezone,
    ...more,
  });

  function judge(what: string, outcome: Outcome, wanted: readonly string[]): void {
    const found = outcome.results.toSorted((a, b) => a.index - b.index).map((result) => result.outcome);
    const fits = wanted.length === found.length && wanted.every((one, i) => one.split(' or ').includes(found[i]!));
    if (!fits) complain(`${what}: ${found.join(', ')}, must be ${wanted.join(', ')}`);
  }

  /** Several at once, with one that lies over the first, and one that is none; all of it so often. */
  async function keepOffline(plans: readonly EntryPlan[]): Promise<void> {
    const [first] = plans;
    const { key, from, to } = first!;
    const batch = [
      ...plans.map((plan) => offline(plan, plan.to)),
      offline({ ...first!, key: `${key} over`, from: from + 1 }, to + 1),
      offline({ ...first!, key: `${key} bad` }, from - 1),
    ];
    for (let i = 0; i < first!.times; i++) {
      const outcome = await sync(batch);
      // A batch without an answer was sent again.
      const good = plans.map(() => (i === 0 ? 'created or skipped' : 'skipped'));
      judge('offline', outcome, [...good, 'conflict', 'conflict']);
      const reasons = outcome.conflicts.toSorted((a, b) => a.index - b.index).map(({ reason }) => reason);
      if (reasons.join() !== 'overlap,invalid') complain(`offline: conflicts ${reasons.join()}`);
      for (const plan of plans) settle(plan, 1);
    }
  }

  async function keepMoving(plan: EntryPlan): Promise<void> {
    judge('offline, running', await sync([offline(plan, undefined)]), ['created or skipped']);
    await pause();
    judge('offline, stopped', await sync([offline(plan, plan.to)]), ['updated or skipped']);
    settle(plan, 2);
    judge('offline, running again', await sync([offline(plan, undefined), offline(plan, plan.to)]), [
      'skipped',
      'skipped',
    ]);
  }

  function settle({ key, from, to, description }: EntryPlan, version: number): void {
    ledger.set(userId, key, { kind: 'offline', from, to, pauses: [], description, version });
  }

  async function keepByHand(plan: EntryPlan): Promise<void> {
    const { key, from, to, description, edit } = plan;
    const body = { startTime: iso(from), endTime: iso(to), timezone: account.timezone, description };
    let id: string | undefined;
    for (let i = 0; i < plan.times; i++) {
      const sent = await sender.asPerson(account, { path: `${path}/manual`, ...post(key, body) });
      id = taken<{ id: string }>('by hand', sent, i === 0 ? [200, 201] : [200])?.id;
      if (id === undefined) return;
    }
    ledger.set(userId, key, { kind: 'manual', from, to, pauses: [], description, version: 1 });
    if (edit === undefined) return;
    await pause();
    const one = `${path}/${id}`;
    if (edit === 'delete') {
      const sent = await sender.asPerson(account, { method: 'DELETE', path: `${one}?reason=mistaken` });
      if (taken('delete', sent, [204], ['NOT_FOUND'])) ledger.set(userId, key, undefined);
      return;
    }
    const change = { startTime: iso(edit.from), endTime: iso(edit.to), description: edit.description, version: 1 };
    const body2 = JSON.stringify({ ...change, reason: 'corrected' });
    const sent = await sender.asPerson(account, { method: 'PATCH', path: one, body: body2 });
    if (!taken('edit', sent, [200], ['STALE_VERSION'])) return;
    ledger.set(userId, key, { kind: 'manual', ...spanOf(edit), pauses: [], description: edit.description, version: 2 });
    const stale = await sender.asPerson(account, { method: 'PATCH', path: one, body: body2 });
    if (stale && codeOf(stale.answer) !== 'STALE_VERSION') complain(`a stale edit: got ${stale.answer.status}`);
  }

  return {
    /** Entry after entry, those handed over together in one batch; ends where nothing new is to be begun. */
    async keep(plans: readonly EntryPlan[]): Promise<void> {
      for (let i = 0; i < plans.length; ) {
        const plan = plans[i]!;
        let together = 1;
        if (!(await pause())) return;
        if (plan.way === 'timer') await keepTimer(plan);
        else if (plan.way === 'moving') await keepMoving(plan);
        else if (plan.way === 'offline') {
          while (plans[i + together]?.way === 'offline') together++;
          await keepOffline(plans.slice(i, i + together));
        } else if (account.login) await keepByHand(plan);
        i += together;
      }
    },
    async count(deviceId: string, uploads: readonly MinutePlan[][]): Promise<void> {
      for (const minutes of uploads) {
        if (!(await pause())) return;
        const items = [
          ...minutes.map((counts) => ({ ...counts, minute: iso(counts.minute), deviceId })),
          { minute: iso(minutes[0]!.minute), keyboardClicks: -1, mouseMovements: 0, deviceId },
        ];
        const out = { method: 'POST' as const, path: '/api/v1/activity', body: JSON.stringify(items) };
        const sent = await sender.asAgent(account, 'ingest', out);
        const answer = taken<{ accepted: number; rejected: { index: number }[] }>('counts', sent, [202]);
        if (!answer) continue;
        ledger.count(userId, deviceId, minutes);
        if (answer.accepted !== minutes.length || answer.rejected.length !== 1) {
          complain(`counts: ${answer.accepted} of ${minutes.length} accepted, and one that is none`);
        }
      }
    },
    /** Leaves a timer running on an empty chair. */
    async leave(key: string, from: number): Promise<void> {
      const id = await start({ key, from, description: 'left running', times: 1 });
      if (id !== undefined) ledger.runs(userId, id, from);
    },
  };
}

const spanOf = ({ from, to }: Span): Span => ({ from, to });

export const isNoAnswer = (error: unknown): boolean => error instanceof NoAnswer;
