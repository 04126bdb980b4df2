import type { Admin } from 'kafkajs';

/** Where a partition begins and ends: the offset of the oldest record kept, and of the next one to be written. */
export interface Ends {
  partition: number;
  low: number;
  high: number;
}

/** An end that stays behind what was seen before for so long is the truth: the topic was made anew, or records are lost. */
const believedAfterMs = 60_000;

export interface EndsReader {
  /**
   * The ends of every partition of a topic.
   * @throws Error where the answer cannot be the truth: a partition is missing, or an end lies behind one seen before, as
   *   told by a broker that was the leader once and does not know yet that it is not.
   */
  read(admin: Pick<Admin, 'fetchTopicOffsets'>, topic: string): Promise<Ends[]>;
}

/** @param now milliseconds, of a clock that does not jump. */
export function createEndsReader(now: () => number = () => performance.now()): EndsReader {
  const seen = new Map<string, { high: number[]; behindSince: number | undefined }>();

  return {
    async read(admin, topic) {
      const state = seen.get(topic) ?? { high: [], behindSince: undefined };
      seen.set(topic, state);
      // As it was before asking: another one who asked later may be answered sooner.
      const known = state.high;
      const answer = await admin.fetchTopicOffsets(topic);
      const ends = answer
        .map(({ partition, low, high }) => ({ partition, low: Number(low), high: Number(high) }))
        .sort((a, b) => a.partition - b.partition);
      const odd = ends.find(({ partition, low, high }, i) => partition !== i || !(low >= 0 && high >= low));
      if (odd || ends.length === 0) {
        throw new Error(`the brokers' answer on ${topic} is not whole: ${JSON.stringify(answer)}`);
      }
      const behind = known.findIndex((high, partition) => (ends[partition]?.high ?? -1) < high);
      if (behind < 0) {
        state.behindSince = undefined;
        state.high = ends.map(({ high }, partition) => Math.max(high, state.high[partition] ?? 0));
        return ends;
      }
      state.behindSince ??= now();
      if (now() - state.behindSince < believedAfterMs) {
        throw new Error(`${topic}/${behind} ended at ${known[behind]} before, now at ${ends[behind]?.high}`);
      }
      state.behindSince = undefined;
      state.high = ends.map(({ high }) => high);
      return ends;
    },
  };
}
