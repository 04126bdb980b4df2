import { unavailable } from '@worktide/runtime';
import { maxSendBytes } from './accumulator.ts';
import { createProducer, type Transport } from './producer.ts';
import type { ConsumeOptions, Consumer, EventLog, LogAdmin, LogRecord, OpenOptions, Producer } from './types.ts';

/** What makes a log of one kind. */
export interface Adapter {
  transport(): Transport;
  consumer(options: ConsumeOptions, hooks: ConsumerHooks): Consumer;
  admin: LogAdmin;
  check(): Promise<void>;
  checkReplication(): Promise<void>;
  /** Called when all consumers and producers are closed. */
  close(): Promise<void>;
}

/** What a consumer needs of the log around it. */
export interface ConsumerHooks {
  lag(): Promise<Record<string, number>>;
  writeDeadLetter(topic: string, record: LogRecord): Promise<void>;
  onClosed(): void;
}

/** An event log over an adapter: keeps what was opened, so that closing the log closes it all, consumers first. */
export function createEventLog(adapter: Adapter, open: OpenOptions): EventLog {
  const producers = new Set<Producer>();
  const consumers = new Set<Consumer>();
  let deadLetters: Producer | undefined;
  let closing: Promise<void> | undefined;

  function producer(options: Parameters<typeof createProducer>[2]): Producer {
    const transport = adapter.transport();
    const created = createProducer(
      { transmit: transport.transmit, close: () => transport.close().finally(() => producers.delete(created)) },
      open,
      options,
    );
    producers.add(created);
    return created;
  }

  function writeDeadLetter(topic: string, record: LogRecord): Promise<void> {
    // Above the limit of ordinary records, so that the largest of them still fits with its reason.
    deadLetters ??= producer({ maxRecordBytes: maxSendBytes });
    return deadLetters.send(topic, [record]);
  }

  async function close(): Promise<void> {
    await Promise.all([...consumers].map((one) => one.close()));
    await Promise.all([...producers].map((one) => one.close()));
    await adapter.close();
  }

  function assertOpen(): void {
    if (closing) throw unavailable('event log', new Error('the log is closed'));
  }

  return {
    producer(options) {
      assertOpen();
      return producer(options);
    },
    async consume(options) {
      assertOpen();
      const consumer = adapter.consumer(options, {
        lag: () => adapter.admin.lag(options.group, options.topics),
        writeDeadLetter,
        onClosed: () => consumers.delete(consumer),
      });
      consumers.add(consumer);
      return consumer;
    },
    admin: adapter.admin,
    check: adapter.check,
    checkReplication: adapter.checkReplication,
    close() {
      closing ??= close();
      return closing;
    },
  };
}
