import type { Redis } from 'ioredis';
import { callsOf, connect } from '../connection.ts';
import type { KeyValueOptions } from '../types.ts';
import type { StateChange, States } from './types.ts';

/** Many in one step: each is a comparison and a write that nothing gets between. */
const writeScript = `
local answer = {}
for i = 1, #KEYS - 1 do
  local at = (i - 1) * 5
  local revision = tonumber(redis.call('HGET', KEYS[i + 1], 'r') or '0')
  if revision == tonumber(ARGV[at + 2]) then
    redis.call('HSET', KEYS[i + 1], 'r', revision + 1, 'v', ARGV[at + 3])
    redis.call('PEXPIRE', KEYS[i + 1], ARGV[at + 4])
    if ARGV[at + 5] == '' then redis.call('ZREM', KEYS[1], ARGV[at + 1])
    else redis.call('ZADD', KEYS[1], ARGV[at + 5], ARGV[at + 1]) end
    answer[i] = 1
  else
    answer[i] = 0
  end
end
return answer`;

/** The keys follow from what is found, so it is one Redis, not a cluster of them. */
const claimScript = `
local answer = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[2])) do
  local state = redis.call('HMGET', ARGV[4] .. id, 'r', 'v')
  if state[1] then
    redis.call('ZADD', KEYS[1], ARGV[3], id)
    answer[#answer + 1] = id
    answer[#answer + 1] = state[1]
    answer[#answer + 1] = state[2]
  else
    redis.call('ZREM', KEYS[1], id)
  end
end
return answer`;

interface Commands {
  worktideWriteStates(keyCount: number, ...args: (string | number)[]): Promise<number[]>;
  worktideClaimStates(...args: (string | number)[]): Promise<string[]>;
}

/** Changes in one script: others wait while it runs. */
const writeAtOnce = 200;

export function redisStates(
  url: string,
  name: string,
  { log, timeoutMs = 1_000 }: Pick<KeyValueOptions, 'log' | 'timeoutMs'>,
): States {
  const { redis, firstAttempt, end } = connect(url, {
    name: `states-${name}`,
    log,
    timeoutMs,
    watchSilence: true,
    onState() {},
  });
  redis.defineCommand('worktideWriteStates', { lua: writeScript });
  redis.defineCommand('worktideClaimStates', { numberOfKeys: 1, lua: claimScript });
  const commands = redis as Redis & Commands;
  const prefix = `${name}:state:`;
  const due = `${name}:due`;
  let closed = false;

  const call = callsOf({ firstAttempt }, { isClosed: () => closed });

  async function writeSome(changes: readonly StateChange[]): Promise<boolean[]> {
    const keys = changes.map(({ id }) => prefix + id);
    const values = changes.flatMap(({ id, revision, value, ttlMs, dueAt }) => [
      id,
      revision,
      value,
      ttlMs,
      dueAt === null ? '' : dueAt,
    ]);
    const made = await commands.worktideWriteStates(keys.length + 1, due, ...keys, ...values);
    return made.map((one) => one === 1);
  }

  return {
    read: (ids) =>
      call(async () => {
        if (ids.length === 0) return [];
        // In one piece: each by itself costs as much as all of them.
        const replies = await redis.pipeline(ids.map((id) => ['hmget', prefix + id, 'r', 'v'])).exec();
        if (!replies) throw new Error('the pipeline was aborted');
        return replies.map(([error, reply]) => {
          if (error) throw error;
          const [revision, value] = reply as [string | null, string | null];
          return revision == null ? undefined : { revision: Number(revision), value: value ?? '' };
        });
      }),
    write: (changes) =>
      call(async () => {
        const parts: Promise<boolean[]>[] = [];
        for (let i = 0; i < changes.length; i += writeAtOnce) parts.push(writeSome(changes.slice(i, i + writeAtOnce)));
        return (await Promise.all(parts)).flat();
      }),
    claim: ({ now, limit, leaseMs }) =>
      call(async () => {
        const flat = await commands.worktideClaimStates(due, now, limit, now + leaseMs, prefix);
        const claimed = [];
        for (let i = 0; i < flat.length; i += 3) {
          claimed.push({ id: flat[i]!, revision: Number(flat[i + 1]), value: flat[i + 2]! });
        }
        return claimed;
      }),
    waiting: (now) =>
      call(async () => {
        const [all, isDue] = await Promise.all([redis.zcard(due), redis.zcount(due, '-inf', now)]);
        return { all, due: isDue };
      }),
    async close() {
      closed = true;
      end();
    },
  };
}
