import type { State, States } from '@worktide/key-value';
import type { Delivery } from '../sockets/server.ts';

/** Kinds of objects that people are told of. */
const kinds = {
  /** While somebody edits: the last state, once a second. */
  entry: { everyMs: 1_000, keeps: 'last', newsMs: 24 * 3_600_000 },
  alert: { everyMs: 0, keeps: 'all', newsMs: 24 * 3_600_000 },
  task: { everyMs: 0, keeps: 'all', newsMs: 24 * 3_600_000 },
  /** There are many, and nobody waits for one for long. */
  screenshot: { everyMs: 0, keeps: 'last', newsMs: 3_600_000 },
  /** Of each id one, told once. */
  notification: { everyMs: 0, keeps: 'last', newsMs: 24 * 3_600_000 },
} as const satisfies Record<string, { everyMs: number; keeps: 'last' | 'all'; newsMs: number }>;

/** What people are to be told of one state of an object. */
export interface Push {
  kind: keyof typeof kinds;
  organizationId: string;
  /** Of the object: what is told of it comes in order. */
  id: string;
  /** Of the state. What is not newer than what was told is not told again. */
  version: number;
  deliveries: Delivery[];
  /** Whether the object is gone with this state: what comes after that brings it back. */
  deleted?: boolean;
  /** Only who is in one of these rooms may go on hearing of the task. */
  taskFor?: { taskId: string; allowed: string[] };
}

/** What is kept of an object. */
interface Told {
  /** The greatest version that was posted. */
  version: number;
  deleted?: boolean;
  toldAt: number;
  /** Not told yet, in order. */
  pending: Pick<Push, 'version' | 'deliveries' | 'taskFor'>[];
}

/** No event says so: whoever was told of a deletion is told that it was taken back. */
const asRestored = ({ payload, ...delivery }: Delivery): Delivery => ({
  ...delivery,
  payload:
    typeof payload === 'object' && payload !== null && 'type' in payload ? { ...payload, type: 'restored' } : payload,
});

export interface Pushes {
  /**
   * Has them told, by whichever replica. Again changes nothing, for a day; and what happened longer ago is not told
   * (`isNews`). Rejects 503.
   */
  post(pushes: readonly Push[]): Promise<void>;
  /** Tells what is due. @returns whether there may be more. */
  tell(): Promise<boolean>;
}

const claimAtOnce = 200;
const leaseMs = 10_000;
const maxTries = 10;
/** Of one object, while nobody tells: what is older goes. */
const maxPending = 20;

const nothing: Told = { version: 0, toldAt: 0, pending: [] };
const parse = (state: State | undefined): Told => (state ? (JSON.parse(state.value) as Told) : nothing);

/** Whether what a record says is young enough to be told: a replay of last week is no news. */
export const isNews = (kind: Push['kind'], timestamp: number, now: number): boolean =>
  now - timestamp < kinds[kind].newsMs;

/**
 * What people are told of objects. A consumer posts here and lets go; what was posted stands in key-value until it is told, by
 * one replica at a time for each object. So what is told of it comes in order, the last state always comes, and a process
 * that dies has lost nothing.
 */
export function createPushes(options: {
  states: States;
  deliver: (delivery: Delivery) => Promise<void>;
  keepInTask: (taskId: string, allowed: readonly string[]) => Promise<void>;
  onDue?: () => void;
  now?: () => number;
}): Pushes {
  const { states, deliver, keepInTask, onDue, now: clock = Date.now } = options;

  function write(id: string, revision: number, told: Told) {
    const { everyMs, newsMs } = kinds[id.split('/')[0] as Push['kind']];
    const dueAt = told.pending.length === 0 ? null : Math.max(clock(), told.toldAt + everyMs);
    // An hour longer than anything of it is news; a deletion as long as somebody may think better of it.
    const ttlMs = told.deleted ? 31 * 24 * 3_600_000 : newsMs + 3_600_000;
    return { id, revision, value: JSON.stringify(told), ttlMs, dueAt };
  }

  async function post(pushes: readonly Push[]): Promise<void> {
    let objects = new Map<string, Push[]>();
    for (const push of pushes) {
      const id = `${push.kind}/${push.organizationId}/${push.id}`;
      objects.set(id, [...(objects.get(id) ?? []), push]);
    }
    for (let i = 0; objects.size > 0; i++) {
      if (i === maxTries) throw new Error('others keep telling of the same objects');
      const ids = [...objects.keys()];
      const found = await states.read(ids);
      const changes = [];
      for (const [n, id] of ids.entries()) {
        const before = parse(found[n]);
        const told = { ...before, pending: [...before.pending] };
        for (const { kind, version, deliveries: given, deleted = false, taskFor } of objects.get(id)!) {
          if (version <= told.version) continue;
          const deliveries = told.deleted && !deleted ? given.map(asRestored) : given;
          told.deleted = deleted;
          told.version = version;
          if (kinds[kind].keeps === 'last') told.pending = [];
          told.pending.push({ version, deliveries, ...(taskFor ? { taskFor } : {}) });
        }
        told.pending = told.pending.slice(-maxPending);
        if (told.version > before.version) changes.push(write(id, found[n]?.revision ?? 0, told));
      }
      if (changes.length === 0) return;
      const made = await states.write(changes);
      objects = new Map(changes.filter((_, n) => !made[n]).map(({ id }) => [id, objects.get(id)!]));
      onDue?.();
    }
  }

  async function tellOne({ id, ...state }: State & { id: string }): Promise<void> {
    const { pending } = parse(state);
    for (const { deliveries, taskFor } of pending) {
      if (taskFor) await keepInTask(taskFor.taskId, taskFor.allowed);
      for (const delivery of deliveries) await deliver(delivery);
    }
    const last = pending.at(-1)?.version ?? 0;
    let current: State | undefined = state;
    for (let i = 0; i < maxTries; i++) {
      const told = parse(current);
      // More may have come meanwhile.
      const rest = told.pending.filter(({ version }) => version > last);
      const [made] = await states.write([
        write(id, current?.revision ?? 0, {
          ...told,
          version: Math.max(told.version, last),
          toldAt: clock(),
          pending: rest,
        }),
      ]);
      if (made) return;
      [current] = await states.read([id]);
    }
  }

  return {
    post,
    async tell() {
      const claimed = await states.claim({ now: clock(), limit: claimAtOnce, leaseMs });
      const outcomes = await Promise.allSettled(claimed.map(tellOne));
      const failed = outcomes.find((outcome) => outcome.status === 'rejected');
      if (failed) throw failed.reason;
      return claimed.length === claimAtOnce;
    },
  };
}
