import { checkBy, checkKey, checkMember, checkTtl, checkValue, notACounter } from './checks.ts';
import { type Connection, callsOf, connect } from './connection.ts';
import { createListeners } from './listeners.ts';
import { createSetCommand } from './set-command.ts';
import type { KeyValue, KeyValueOptions } from './types.ts';

/** Redis or anything that speaks its protocol: `redis://`, `rediss://`, with user, password and database in the URL. */
export function redisKeyValue(url: string, options: KeyValueOptions): KeyValue {
  const { log, metrics, timeoutMs = 500 } = options;
  const up = metrics.gauge('worktide_key_value_up', '1 while the shared key-value store is connected.');
  const failures = metrics.counter('worktide_key_value_failures_total', 'Calls of the key-value store that failed.');
  const listeners = createListeners(log);
  let closed = false;
  up.set(0);

  const { redis, firstAttempt, end } = connect(url, {
    name: 'commands',
    log,
    timeoutMs,
    watchSilence: true,
    onState: (there) => up.set(there ? 1 : 0),
  });
  const addToSet = createSetCommand(redis);
  // A connection that listens can do nothing else; made when somebody listens.
  let listening: Connection | undefined;

  const call = callsOf({ firstAttempt }, { isClosed: () => closed, onFailure: () => failures.inc() });

  function startListening(): Connection {
    const connection = connect(url, {
      name: 'messages',
      log,
      timeoutMs,
      // It may be silent for days.
      watchSilence: false,
      onState(there) {
        const channels = listeners.channels();
        // A failure closes the connection or leaves it to the next one; both bring us here again.
        if (there && channels.length > 0)
          connection.redis.subscribe(...channels).catch(() => connection.redis.disconnect(true));
      },
    });
    connection.redis.on('message', (channel, message) => listeners.tell(channel, message));
    return connection;
  }

  return {
    async get(key) {
      checkKey(key);
      return (await call(() => redis.get(key))) ?? undefined;
    },
    async set(key, value, ttlMs) {
      checkKey(key);
      checkValue(value);
      checkTtl(ttlMs);
      await call(() => redis.set(key, value, 'PX', ttlMs));
    },
    async delete(key) {
      checkKey(key);
      await call(() => redis.del(key));
    },
    async increment(key, by, ttlMs) {
      checkKey(key);
      checkBy(by);
      checkTtl(ttlMs);
      return call(async () => {
        // One transaction: a counter can not be left without an end.
        const replies = await redis.multi().set(key, 0, 'PX', ttlMs, 'NX').incrby(key, by).exec();
        const [error, sum] = replies?.[1] ?? [new Error('the transaction was aborted')];
        if (error && /not an integer|WRONGTYPE|overflow/.test(error.message)) throw notACounter();
        if (error) throw error;
        return Number(sum);
      });
    },
    async addToSet(key, members, { max, ttlMs }) {
      checkKey(key);
      for (const member of members) checkMember(member);
      checkTtl(ttlMs);
      return (await call(() => addToSet(key, max, ttlMs, ...members))).map((is) => is === 1);
    },
    async publish(channel, message) {
      checkKey(channel);
      checkValue(message);
      await call(() => redis.publish(channel, message));
    },
    async subscribe(channel, listener) {
      checkKey(channel);
      if (closed) return async () => {};
      const first = listeners.add(channel, listener);
      listening ??= startListening();
      const { redis: messages, firstAttempt: attempt } = listening;
      await attempt;
      // While it is away this fails, and the channel is taken up with the others when it is back.
      if (first) await messages.subscribe(channel).catch(() => {});
      return async () => {
        if (listeners.remove(channel, listener)) await messages.unsubscribe(channel).catch(() => {});
      };
    },
    async check() {
      await call(() => redis.ping());
    },
    async close() {
      closed = true;
      listeners.clear();
      end();
      listening?.end();
    },
  };
}
