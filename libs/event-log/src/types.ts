import type { Logger, Metrics } from '@worktide/runtime';

/** What is written. `value` up to 900 KB with key and headers; a broker refuses larger ones. */
export interface LogRecord {
  /** Records of one key stay in order on one partition. */
  key: string;
  value: Buffer;
  headers?: Record<string, string>;
}

/** What is read. */
export interface StoredRecord extends LogRecord {
  topic: string;
  partition: number;
  /** Position within the partition; rises, but not always by one. */
  offset: number;
  /** Epoch milliseconds at which the record was written. */
  timestamp: number;
  headers: Record<string, string>;
}

export interface TopicSettings {
  name: string;
  /** Raising it later is possible, lowering never. */
  partitions: number;
  retentionMs: number;
}

export interface Producer {
  /**
   * Resolves when every record is durable: acknowledged by all in-sync replicas, or flushed to disk.
   * A rejection says "not known to be durable": the records may still be there, sending again makes duplicates only.
   * @throws AppError `QUEUE_FULL` (503) over the cap, nothing of the call was queued; `RECORD_TOO_LARGE` (413),
   *   likewise; `DEPENDENCY_UNAVAILABLE` (503) when the log could not take them within about ten seconds.
   * @param subject whose they are, e.g. an organisation: where much waits, subjects take turns.
   */
  send(topic: string, records: LogRecord[], subject?: string): Promise<void>;
  /** Bytes waiting or in flight. */
  readonly queuedBytes: number;
  /** Resolves when all that was sent before is settled, one way or the other. */
  flush(): Promise<void>;
  /** Refuses new records, flushes, disconnects. */
  close(): Promise<void>;
}

export interface ProducerOptions {
  /** Most bytes waiting or in flight; over it `send` refuses. Default 64 MiB. */
  maxQueuedBytes?: number;
}

/** Why a record can never succeed. `code` is stable, `message` for people; both are stored with the record. */
export interface DeadLetterReason {
  code: string;
  message: string;
}

/** What of senders' records can never succeed is put aside up to here; see ConsumeOptions. */
export interface DeadLetterLimit {
  /** Dead letters of one sender within the window; what is above goes by whole records. */
  count: number;
  /** Senders with dead letters within the window. As many, and no fewer than those without: the fault is ours. */
  senders: number;
  windowMs: number;
}

export interface BatchContext {
  /**
   * Says that a record can never succeed. It goes onto `<topic>.dead` once the handler has resolved, and is forgotten
   * where it throws, so that a batch which is tried again has dead-lettered nothing; a redelivery after a crash does so again.
   * @param value what to keep instead of the whole value, e.g. only the bad one of several pings, or how to make it.
   */
  deadLetter(record: StoredRecord, reason: DeadLetterReason, value?: Buffer | (() => Buffer)): void;
  /** Aborted when the batch's partitions went to another member: finishing is harmless, but of no use. */
  signal: AbortSignal;
}

export interface ConsumeOptions {
  group: string;
  topics: string[];
  /** A batch is handed over at this many records … (default 10,000) */
  maxRecords?: number;
  /** … or this many bytes, keys, values and 200 bytes a record for its surroundings (default 4 MiB) … */
  maxBytes?: number;
  /** … or this long after its first record was fetched (default 0: at once). Whichever comes first. */
  lingerMs?: number;
  /** What must be there before anything can be handled. Its failing is no record's fault: tried again for ever. */
  ready?: () => unknown;
  /**
   * Whether what the handler needs answers at all. Asked after a failure: only while it answers may that be the records'
   * fault. Without this what took too long (AppError `DEPENDENCY_TIMEOUT`) never is, and any other failure always.
   */
  answers?: () => unknown;
  /**
   * One call at a time; records of several partitions, in order within each. Offsets are committed after it resolves.
   * Throwing an AppError 503 means that a dependency is away (but see `answers`): nothing is committed and the same comes again, for ever,
   * with backoff. Throwing anything else means that something among these records cannot be handled: they come again in
   * smaller and smaller parts (in order for each key, no longer for a partition) until the one is found and
   * dead-lettered, the rest being handled. So handling twice must be harmless.
   */
  handle: (batch: StoredRecord[], context: BatchContext) => Promise<void>;
  /**
   * Told of each whole record that became a dead letter, once that is durable and before its offset is committed; again after a
   * crash. Throwing an AppError 503 has it tried again for ever, anything else is logged.
   */
  deadLettered?: (record: StoredRecord, reason: DeadLetterReason) => Promise<void>;
  /** Two or more smaller records that say the same as this one, or none where it cannot be divided. */
  split?: (record: StoredRecord) => StoredRecord[];
  /**
   * Default: 100 dead letters of a sender (a key), 10 senders, a minute. At that many senders, and no fewer than those
   * whose records are handled, the consumer stops before the batch, and looks again after the window.
   */
  deadLetterLimit?: DeadLetterLimit;
}

export type ConsumerState = 'starting' | 'running' | 'paused' | 'retrying' | 'stopped';

export interface Consumer {
  /** Hands nothing over until `resume`; a running batch is finished. Membership is kept. */
  pause(): void;
  resume(): void;
  readonly state: ConsumerState;
  /** Records of its topics that its group has not committed yet, whichever member has them. */
  lag(): Promise<number>;
  /** For readiness: throws while starting, retrying, or stopped. */
  check(): void;
  /** Finishes the running batch, commits it and leaves the group. */
  close(): Promise<void>;
}

export interface LogAdmin {
  /**
   * Creates what is missing, adds partitions, changes retention and how many copies must be in sync; takes nothing away,
   * and leaves alone what an operator has set besides. Running it again changes nothing.
   * @throws AppError `DEPENDENCY_UNAVAILABLE` while there are fewer brokers than copies asked for in so many words.
   */
  ensureTopics(topics: TopicSettings[]): Promise<void>;
  topicNames(): Promise<string[]>;
  /** Records per topic that the group has not committed yet; a group never seen has all of them before it. */
  lag(group: string, topics: string[]): Promise<Record<string, number>>;
  /**
   * Moves a group's offsets on every partition of the topic: `earliest` replays all that is kept, `latest` skips it.
   * @throws AppError `GROUP_ACTIVE` (409) while the group has a running consumer.
   */
  resetGroup(group: string, topic: string, to: 'earliest' | 'latest'): Promise<void>;
  /** A partition's records from an offset on, at most `limit`, without a group. Ends at what is there now. */
  read(topic: string, options: { partition: number; fromOffset: number; limit: number }): Promise<StoredRecord[]>;
}

export interface EventLog {
  producer(options?: ProducerOptions): Producer;
  /** Validates, then connects in the background for as long as it takes; see `state`. */
  consume(options: ConsumeOptions): Promise<Consumer>;
  admin: LogAdmin;
  /** Answers within two seconds whether the log can be reached. */
  check(): Promise<void>;
  /**
   * For readiness, as a side check: names those of our topics that have fewer copies than asked (`OpenOptions`). Answers at
   * once with what it last saw, once a minute; of a log that is away it says nothing.
   */
  checkReplication(): Promise<void>;
  /** Closes every consumer, then every producer, then the connections. */
  close(): Promise<void>;
}

/** How often Kafka keeps a topic; without a meaning for the embedded log. */
export interface ReplicationOptions {
  /** On how many brokers a topic is. Default: 3, or as many as there are. */
  replication?: number | undefined;
  /** How many of them must have a record before it is acknowledged. Default: more than half; 1 of 2. */
  minInsync?: number | undefined;
}

export interface OpenOptions {
  /** Names this process to the broker and in metrics, e.g. the service's name. */
  clientId: string;
  log: Logger;
  metrics: Metrics;
  replication?: ReplicationOptions;
}
