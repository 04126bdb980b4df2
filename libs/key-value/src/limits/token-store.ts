import type { Redis } from 'ioredis';
import type { Rate } from './types.ts';

export interface Grant {
  /** For each demand, whether it was met: whole or not at all. */
  granted: boolean[];
  /** Tokens given besides. */
  lease: number;
  /** What the bucket holds now. */
  tokens: number;
}

/**
 * Demands first, in order; the lease only from what is left when all of them were met, so that tokens that somebody
 * waits for never lie unused with somebody else. By the server's clock: replicas' own may differ. A bucket that is not
 * there is full, so it may go when it would be. Fractions of a token are kept, in the bucket.
 */
const script = `
local perSecond, burst, lease = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(kept[1] or burst)
local passed = math.max(0, now - tonumber(kept[2] or now))
tokens = math.min(burst, tokens + passed * perSecond / 1000)
local answer = {0, 0}
local allMet = true
for i = 4, #ARGV do
  local demand = tonumber(ARGV[i])
  if demand <= tokens then
    tokens = tokens - demand
    answer[#answer + 1] = 1
  else
    allMet = false
    answer[#answer + 1] = 0
  end
end
if allMet then
  answer[1] = math.min(lease, math.floor(tokens))
  tokens = tokens - answer[1]
end
answer[2] = string.format('%.3f', tokens)
redis.call('HSET', KEYS[1], 'tokens', answer[2], 'at', string.format('%d', now))
redis.call('PEXPIRE', KEYS[1], math.ceil((burst - tokens) / perSecond * 1000) + 1000)
return answer`;

type Command = (key: string, ...args: (string | number)[]) => Promise<(number | string)[]>;

/** One round trip for any number of demands on one bucket. */
export function createTokenStore(redis: Redis) {
  const command = 'worktideTakeTokens';
  redis.defineCommand(command, { numberOfKeys: 1, lua: script });
  const run = (redis as unknown as Record<typeof command, Command>)[command].bind(redis);
  return async (
    key: string,
    { perSecond, burst }: Rate,
    { demands, lease }: { demands: readonly number[]; lease: number },
  ): Promise<Grant> => {
    const [leased = 0, tokens = 0, ...met] = await run(key, perSecond, burst, lease, ...demands);
    return { granted: met.map((m) => m === 1), lease: Number(leased), tokens: Number(tokens) };
  };
}
