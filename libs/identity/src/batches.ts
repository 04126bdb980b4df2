interface Wish<K, V> {
  key: K;
  resolve(value: V): void;
  reject(error: unknown): void;
}

/**
 * Asks for many things as few questions: what is wanted while questions are on their way is the next question.
 * @param ask answers in the order of the keys; where it rejects, all of them do.
 */
export function createBatches<K, V>(options: {
  ask: (keys: K[]) => Promise<V[]>;
  /** Keys of one question at most. */
  maxKeys: number;
  /** Questions at once. */
  maxQuestions: number;
}): (key: K) => Promise<V> {
  const { ask, maxKeys, maxQuestions } = options;
  let wishes: Wish<K, V>[] = [];
  let questions = 0;

  async function question(): Promise<void> {
    questions++;
    while (wishes.length > 0) {
      const mine = wishes.slice(0, maxKeys);
      wishes = wishes.slice(maxKeys);
      try {
        const values = await ask(mine.map(({ key }) => key));
        for (const [i, { resolve }] of mine.entries()) resolve(values[i]!);
      } catch (error) {
        for (const { reject } of mine) reject(error);
      }
    }
    questions--;
  }

  return (key) =>
    new Promise((resolve, reject) => {
      wishes.push({ key, resolve, reject });
      if (questions < maxQuestions) void question();
    });
}
