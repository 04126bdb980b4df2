import type { Redis } from 'ioredis';

/** In one step, so that callers at the same time together stay within the bound. */
const script = `
local size = redis.call('SCARD', KEYS[1])
local max = tonumber(ARGV[1])
local answer = {}
for i = 3, #ARGV do
  local there = redis.call('SISMEMBER', KEYS[1], ARGV[i])
  if there == 0 and size < max then
    redis.call('SADD', KEYS[1], ARGV[i])
    size = size + 1
    there = 1
  end
  answer[#answer + 1] = there
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return answer`;

type Command = (key: string, max: number, ttlMs: number, ...members: string[]) => Promise<number[]>;

/** Members into a set of at most `max`; 1 for each that is in it then. */
export function createSetCommand(redis: Redis): Command {
  const command = 'worktideAddToSet';
  redis.defineCommand(command, { numberOfKeys: 1, lua: script });
  return (redis as unknown as Record<typeof command, Command>)[command].bind(redis);
}
