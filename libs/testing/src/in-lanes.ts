/** Does something for each item, so many at once: for what mostly waits. Rejects with the first failure. */
export async function inLanes<T>(items: readonly T[], lanes: number, work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const lane = async (): Promise<void> => {
    while (left.length > 0) await work(left.shift()!);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}
