/** Something bad that happens; it ends with everything running again. */
export interface Trouble {
  name: string;
  happen(): Promise<void>;
}

/** A running product that a round of chaos is made with. */
export interface Target {
  name: string;
  url: string;
  /** Kills, each over within seconds. */
  kills: Trouble[];
  /** A dependency that is away for a while. */
  outage(ms: number): Trouble[];
  /** Resolves when every part says that it is ready. */
  ready(): Promise<void>;
  /** Everything from the first record on once more, into the same stores. Resolves when it has been read. */
  replay(): Promise<void>;
  /** A fingerprint of the stored usage entries, which a replay must leave as it is. */
  rows(): Promise<{ rows: number; fingerprint: string }>;
}
