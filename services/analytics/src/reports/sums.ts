/** What days of people come to, in whole seconds and counts. */
export interface Sums {
  workSeconds: number;
  activeSeconds: number;
  keyboardClicks: number;
  mouseMovements: number;
}

export const nothing: Sums = { workSeconds: 0, activeSeconds: 0, keyboardClicks: 0, mouseMovements: 0 };

/** Over days in a query. */
export const sumColumns = `sum(work_seconds) AS workSeconds, sum(active_seconds) AS activeSeconds,
  sum(keyboard_clicks) AS keyboardClicks, sum(mouse_movements) AS mouseMovements`;

export const plus = (a: Sums, b: Sums): Sums => ({
  workSeconds: a.workSeconds + b.workSeconds,
  activeSeconds: a.activeSeconds + b.activeSeconds,
  keyboardClicks: a.keyboardClicks + b.keyboardClicks,
  mouseMovements: a.mouseMovements + b.mouseMovements,
});

export const totalOf = (all: Iterable<Sums>): Sums => [...all].reduce(plus, nothing);

export const addSums = <K>(map: Map<K, Sums>, key: K, more: Sums): void =>
  void map.set(key, plus(map.get(key) ?? nothing, more));
export const addSeconds = <K>(map: Map<K, number>, key: K, seconds: number): void =>
  void map.set(key, (map.get(key) ?? 0) + seconds);

/** Sums of whole seconds, so idle is what is left, and the score is what a reader works out from the two. */
export const shownTime = ({ workSeconds, activeSeconds }: Sums) => ({
  workSeconds,
  activeSeconds,
  idleSeconds: workSeconds - activeSeconds,
  // Half up, in whole numbers: view `days` of the analysts says the same.
  productivityScore:
    workSeconds > 0 ? Math.floor((2_000 * activeSeconds + workSeconds) / (2 * workSeconds)) / 10 : null,
});

export const shown = (sums: Sums) => ({
  ...shownTime(sums),
  keyboardClicks: sums.keyboardClicks,
  mouseMovements: sums.mouseMovements,
});
