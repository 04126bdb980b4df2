import { AppError, unavailable } from '@worktide/runtime';
import type { TopicSpec } from '../topics.ts';
import { jsonSchemaOf } from './json-schema.ts';
import type { SchemaRegistry } from './registry.ts';
import { subjectOf } from './subject.ts';

/**
 * Values of one topic to and from Confluent's wire format: a zero byte, the schema's id as a big-endian int32, then
 * (for JSON Schema) the JSON text.
 */
export interface Codec {
  /**
   * Registers the topic's schema and learns its id; cheap once done.
   * @throws AppError as `SchemaRegistry.register`.
   */
  prepare(): Promise<void>;
  /**
   * One buffer; nothing is validated, the caller's value is of the schema's type already.
   * @throws AppError `DEPENDENCY_UNAVAILABLE` before `prepare` has succeeded.
   */
  encode(value: unknown): Buffer;
  /**
   * The JSON value, not validated: the consumer does that with zod, part by part.
   * @throws AppError `UNDECODABLE` when the bytes can never be read: dead-letter them. `DEPENDENCY_UNAVAILABLE` at the
   * first sight of another schema's id, while the registry is asked for it, and as long as it does not answer: let it
   * pass up, and the batch is tried again.
   */
  decode(buffer: Buffer): unknown;
}

const headerBytes = 5;
const placeholder = '\0'.repeat(headerBytes);
/** How many foreign ids are remembered: only a topic full of garbage has more. */
const maxIds = 1_000;

export function createCodec(registry: SchemaRegistry, topic: Pick<TopicSpec, 'name' | 'schema'>): Codec {
  const subject = subjectOf(topic.name);
  let own: { id: number; header: Buffer } | undefined;
  let registering: Promise<void> | undefined;
  /** Ids that the registry was asked for: known to it, or not. */
  const known = new Map<number, boolean>();
  const asking = new Map<number, { failure?: unknown }>();

  async function register(): Promise<void> {
    const id = await registry.register(subject, jsonSchemaOf(topic.schema));
    const header = Buffer.alloc(headerBytes);
    header.writeInt32BE(id, 1);
    own = { id, header };
  }

  function remember(id: number, exists: boolean): void {
    if (known.size >= maxIds) known.delete(known.keys().next().value!);
    known.set(id, exists);
  }

  /** Asks in the background, one question at a time for an id; a failure is asked again at the next sight. */
  function ask(id: number): unknown {
    const before = asking.get(id);
    if (before && before.failure === undefined) return undefined;
    const question: { failure?: unknown } = {};
    asking.set(id, question);
    registry.schemaById(id).then(
      () => {
        remember(id, true);
        asking.delete(id);
      },
      (error: unknown) => {
        if (error instanceof AppError && error.code === 'SCHEMA_UNKNOWN') {
          remember(id, false);
          asking.delete(id);
        } else question.failure = error;
      },
    );
    return before?.failure;
  }

  return {
    async prepare() {
      if (own) return;
      registering ??= register().finally(() => {
        registering = undefined;
      });
      await registering;
    },
    encode(value) {
      if (!own) throw unavailable('schema registry', new Error(`the schema of ${subject} is not registered yet`));
      // Room for the header inside the text: measuring the text first costs a sixth more where it is not Latin.
      const buffer = Buffer.from(placeholder + JSON.stringify(value));
      own.header.copy(buffer);
      return buffer;
    },
    decode(buffer) {
      if (buffer.length <= headerBytes || buffer[0] !== 0) throw undecodable('it is not in the wire format');
      const id = buffer.readInt32BE(1);
      if (id !== own?.id) {
        const exists = known.get(id);
        if (exists === undefined) {
          const cause = ask(id) ?? new Error(`asking for schema ${id} of ${subject}`);
          throw unavailable('schema registry', cause);
        }
        if (!exists) throw undecodable(`the registry has no schema ${id}`);
      }
      try {
        return JSON.parse(buffer.toString('utf8', headerBytes));
      } catch (error) {
        throw undecodable('it is not JSON', error);
      }
    },
  };
}

const undecodable = (reason: string, cause?: unknown): AppError =>
  new AppError('UNDECODABLE', `The record cannot be decoded: ${reason}.`, { cause });
